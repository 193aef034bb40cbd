/** @file A pool of worker threads. On a page, `browser/threadPool.ts` takes this file's place. */

import { fileURLToPath } from 'node:url';
import { Tinypool } from 'tinypool';
import { OnnxLoraError } from '../errors.ts';
import { availableParallelism } from '../platform/system.ts';

/** The function that threads run. */
export interface ThreadOptions {
  /** The module's `file:` URL, `new URL('./prepare.js', import.meta.url)`: plain JavaScript, loaded by each thread. */
  readonly module: URL;
  /** Name of the exported function, which takes one value and may be asynchronous. */
  readonly name: string;
  /** Largest number of threads; by default two, or one on machines with fewer than three cores. */
  readonly threads?: number;
}

const IDLE_MS = 30_000;

/** Runs a function in threads that start on demand and do not keep the process alive. Values are copied: plain data. */
export class ThreadPool<In, Out> implements AsyncDisposable {
  readonly #pool: Tinypool;

  /** @throws OnnxLoraError `CONFIG_INVALID` for an invalid number of threads */
  constructor({ module, name, threads = availableParallelism() < 3 ? 1 : 2 }: ThreadOptions) {
    if (!Number.isInteger(threads) || threads < 1) {
      throw new OnnxLoraError('CONFIG_INVALID', `threads must be a whole number of at least 1, but it is ${threads}.`);
    }
    this.#pool = new Tinypool({
      filename: fileURLToPath(module),
      name,
      minThreads: 0,
      maxThreads: threads,
      idleTimeout: IDLE_MS,
      // Loaders and flags of the main thread do not apply to plain JavaScript.
      execArgv: [],
      // Their objects are few and short-lived; V8 would keep up to 48 MB for them.
      resourceLimits: { maxYoungGenerationSizeMb: 4 },
    });
  }

  /** The function's result for a value. Rejects with the message of its error. */
  async run(value: In): Promise<Out> {
    return (await this.#pool.run(value)) as Out;
  }

  /** Ends the threads. */
  async release(): Promise<void> {
    await this.#pool.destroy();
  }

  /** As {@link ThreadPool.release}, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }
}
