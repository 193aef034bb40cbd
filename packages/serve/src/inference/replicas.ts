/** @file A graph that is loaded several times, so that several batches compute at a time. */

import type { AdapterRunOptions, AdapterSession, Feeds, Tensor } from '@onnx-lora/sdk';

/** Sessions of one graph with room for the same adapters; together they are as one. */
export class Replicas {
  readonly #all: readonly [AdapterSession, ...AdapterSession[]];
  readonly #running: number[];

  constructor(all: readonly [AdapterSession, ...AdapterSession[]]) {
    this.#all = all;
    this.#running = all.map(() => 0);
  }

  /** The session that feeds are bound to, and that tells what all have in common: the graph, its names and provider. */
  get first(): AdapterSession {
    return this.#all[0];
  }

  /** Adapters that one of them holds. */
  get adapterNames(): readonly string[] {
    return [...new Set(this.#all.flatMap(({ adapterNames }) => adapterNames))];
  }

  /** Runs where least is running; what was bound lies with the first. */
  async run(feeds: Feeds, options: AdapterRunOptions): Promise<Record<string, Tensor>> {
    const place = options.bound?.length ? 0 : this.#running.indexOf(Math.min(...this.#running));
    this.#running[place]!++;
    try {
      return await this.#all[place]!.run(feeds, options);
    } finally {
      this.#running[place]!--;
    }
  }

  /** Keeps nothing of an adapter. */
  remove(name: string): void {
    for (const session of this.#all) session.remove(name);
  }

  /** Frees all of them. */
  async release(): Promise<void> {
    for (const session of this.#all) await session.release();
  }
}
