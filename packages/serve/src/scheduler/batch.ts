/** @file Decides which jobs share a batch. */

import type { Job } from './job.ts';

/** Default of `maxRows`. */
export const MOST_ROWS = 32;

/** Limits of batches. */
export interface BatchLimits {
  /** Maximum rows; a larger request is a batch of its own. 32 by default. */
  readonly maxRows?: number;
  /** Maximum positions with padding, rows times the longest. Unlimited by default. */
  readonly maxCells?: number;
  /** Maximum fraction of padding, from 0 to 1; 0.2 by default. */
  readonly maxPadding?: number;
  /** Maximum distinct adapters; 1 where the model computes each separately. Unlimited by default. */
  readonly maxAdapters?: number;
}

/** Positions of a job; 1 per row without length. */
export function cellsOf({ rows, length }: Pick<Job, 'rows' | 'length'>): number {
  return rows * Math.max(1, length);
}

/** A growing batch. */
export class GrowingBatch<Entry extends { readonly job: Job }> {
  readonly entries: Entry[] = [];
  readonly #limits: Required<BatchLimits>;
  readonly #adapters = new Set<string | null>();
  #rows = 0;
  #cells = 0;
  #longest = 0;

  constructor(
    first: Entry,
    { maxRows = MOST_ROWS, maxCells = Infinity, maxPadding = 0.2, maxAdapters = Infinity }: BatchLimits,
  ) {
    this.#limits = { maxRows, maxCells, maxPadding, maxAdapters };
    this.add(first);
  }

  get rows(): number {
    return this.#rows;
  }

  /** Positions without padding. */
  get cells(): number {
    return this.#cells;
  }

  get padding(): number {
    return 1 - this.#cells / (this.#rows * this.#longest);
  }

  get adapters(): number {
    return this.#adapters.size;
  }

  get isFull(): boolean {
    return this.#rows >= this.#limits.maxRows;
  }

  fits(job: Job): boolean {
    const { maxRows, maxCells, maxPadding, maxAdapters } = this.#limits;
    if (job.key !== this.entries[0]!.job.key) return false;
    const rows = this.#rows + job.rows;
    if (rows > maxRows) return false;
    const padded = rows * Math.max(this.#longest, job.length);
    if (padded > maxCells || 1 - (this.#cells + cellsOf(job)) / padded > maxPadding) return false;
    return this.#adapters.has(job.adapter) || this.#adapters.size < maxAdapters;
  }

  add(entry: Entry): void {
    this.entries.push(entry);
    this.#rows += entry.job.rows;
    this.#cells += cellsOf(entry.job);
    this.#longest = Math.max(this.#longest, entry.job.length, 1);
    this.#adapters.add(entry.job.adapter);
  }
}
