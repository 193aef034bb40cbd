/** @file What may be computed together. */

import type { Job } from './job.ts';

/** Rows of a batch where nothing is said. */
export const MOST_ROWS = 32;

/** How large batches become. */
export interface BatchLimits {
  /** Rows of a batch at most; a request that has more is a batch of its own. 32 by default. */
  readonly maxRows?: number;
  /** Positions of a batch at most, padding included: rows times the longest. No limit by default. */
  readonly maxCells?: number;
  /** Which part of a batch's positions may be padding, from 0 to 1; 0.2 by default. */
  readonly maxPadding?: number;
  /** Different adapters in a batch at most; 1 where the model has to compute each by itself. No limit by default. */
  readonly maxAdapters?: number;
}

/** Positions that a job has by itself, 1 for a row whose length says nothing. */
export function cellsOf({ rows, length }: Pick<Job, 'rows' | 'length'>): number {
  return rows * Math.max(1, length);
}

/** A batch that grows. */
export class GrowingBatch<Entry extends { readonly job: Job }> {
  /** What is in it. */
  readonly entries: Entry[] = [];
  readonly #limits: Required<BatchLimits>;
  readonly #adapters = new Set<string | null>();
  #rows = 0;
  #cells = 0;
  #longest = 0;

  /** @param first what it begins with, of whatever size */
  constructor(
    first: Entry,
    { maxRows = MOST_ROWS, maxCells = Infinity, maxPadding = 0.2, maxAdapters = Infinity }: BatchLimits,
  ) {
    this.#limits = { maxRows, maxCells, maxPadding, maxAdapters };
    this.add(first);
  }

  /** Rows. */
  get rows(): number {
    return this.#rows;
  }

  /** Positions, without padding. */
  get cells(): number {
    return this.#cells;
  }

  /** The part of its positions that is padding. */
  get padding(): number {
    return 1 - this.#cells / (this.#rows * this.#longest);
  }

  /** Different adapters. */
  get adapters(): number {
    return this.#adapters.size;
  }

  /** True where no row would fit. */
  get isFull(): boolean {
    return this.#rows >= this.#limits.maxRows;
  }

  /** Whether a job may join it. */
  fits(job: Job): boolean {
    const { maxRows, maxCells, maxPadding, maxAdapters } = this.#limits;
    if (job.key !== this.entries[0]!.job.key) return false;
    const rows = this.#rows + job.rows;
    if (rows > maxRows) return false;
    const padded = rows * Math.max(this.#longest, job.length);
    if (padded > maxCells || 1 - (this.#cells + cellsOf(job)) / padded > maxPadding) return false;
    return this.#adapters.has(job.adapter) || this.#adapters.size < maxAdapters;
  }

  /** Adds what fits. */
  add(entry: Entry): void {
    this.entries.push(entry);
    this.#rows += entry.job.rows;
    this.#cells += cellsOf(entry.job);
    this.#longest = Math.max(this.#longest, entry.job.length, 1);
    this.#adapters.add(entry.job.adapter);
  }
}
