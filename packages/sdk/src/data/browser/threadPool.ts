/** @file A pool without threads: on a page, the whole SDK runs in a worker already. */

import type { ThreadOptions } from '../threadPool.ts';

/** Runs a module's function in this thread. */
export class ThreadPool<In, Out> implements AsyncDisposable {
  readonly #options: ThreadOptions;

  constructor(options: ThreadOptions) {
    this.#options = options;
  }

  async run(value: In): Promise<Out> {
    const { module, name } = this.#options;
    const functions = (await import(/* @vite-ignore */ module.href)) as Record<string, (value: In) => Out>;
    return functions[name]!(value);
  }

  async release(): Promise<void> {
    // There is nothing to end.
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }
}
