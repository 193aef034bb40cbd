/** @file What all passes of a text read alike, such as an encoder's states: handed over to a session once. */

import type { BoundFeeds, Feeds } from '@onnx-lora/sdk';
import type { RunnableSession } from '@onnx-lora/sdk/tasks';
import { selectRows } from './rows.ts';

/** Feeds that stay as they are, but for which rows there are. */
export class FixedFeeds {
  #feeds: Feeds;
  /** Which of the first rows each row reads. */
  #rows: readonly number[];
  #bound: BoundFeeds | undefined;

  constructor(feeds: Feeds, rows: number) {
    this.#feeds = feeds;
    this.#rows = Array.from({ length: rows }, (_, i) => i);
  }

  get feeds(): Feeds {
    return this.#feeds;
  }

  /** Other feeds from now on, for the same rows. */
  replace(feeds: Feeds): void {
    this.release();
    this.#feeds = feeds;
  }

  /** Goes on with these rows. */
  select(rows: readonly number[]): void {
    const read = rows.map((row) => this.#rows[row]!);
    // The beams of a row read the same.
    if (read.length === this.#rows.length && read.every((row, i) => row === this.#rows[i])) return;
    this.replace(mapFeeds(this.#feeds, (tensor) => selectRows(tensor, rows)));
    this.#rows = read;
  }

  /** What a run of the session is given: the tensors, or what it keeps of them. */
  of(session: RunnableSession): { readonly feeds: Feeds; readonly bound?: readonly BoundFeeds[] } {
    if (Object.keys(this.#feeds).length > 0) this.#bound ??= session.bind(this.#feeds);
    return this.#bound ? { feeds: {}, bound: [this.#bound] } : { feeds: this.#feeds };
  }

  /** Frees what the session keeps. */
  release(): void {
    this.#bound?.release();
    this.#bound = undefined;
  }
}

/** Feeds of which each tensor is changed. */
export function mapFeeds(feeds: Feeds, change: (tensor: Feeds[string]) => Feeds[string]): Feeds {
  return Object.fromEntries(Object.entries(feeds).map(([name, each]) => [name, change(each)]));
}
