/** @file Several sessions of one graph, for concurrent batches. */

import type { AdapterRunOptions, AdapterSession, Feeds, Tensor } from '@onnx-lora/sdk';

/** Sessions of one graph that act as one. */
export class Replicas {
  readonly #all: readonly [AdapterSession, ...AdapterSession[]];
  readonly #running: number[];

  constructor(all: readonly [AdapterSession, ...AdapterSession[]]) {
    this.#all = all;
    this.#running = all.map(() => 0);
  }

  /** The session for bound feeds and for properties that all share. */
  get first(): AdapterSession {
    return this.#all[0];
  }

  get adapterNames(): readonly string[] {
    return [...new Set(this.#all.flatMap(({ adapterNames }) => adapterNames))];
  }

  /** Runs on the least busy session; bound feeds on the first. */
  async run(feeds: Feeds, options: AdapterRunOptions): Promise<Record<string, Tensor>> {
    const place = options.bound?.length ? 0 : this.#running.indexOf(Math.min(...this.#running));
    this.#running[place]!++;
    try {
      return await this.#all[place]!.run(feeds, options);
    } finally {
      this.#running[place]!--;
    }
  }

  remove(name: string): void {
    for (const session of this.#all) session.remove(name);
  }

  async release(): Promise<void> {
    for (const session of this.#all) await session.release();
  }
}
