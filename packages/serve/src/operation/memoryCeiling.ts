/** @file A ceiling for the memory of the process: what can be smaller becomes smaller, and then what would not fit is refused. */

import { type Adapter, OnnxLoraError } from '@onnx-lora/sdk';
import { collectGarbage } from '@onnx-lora/sdk/core';
import type { AdapterCatalog } from '../adapters/catalog.ts';
import { type BatchLimits, cellsOf } from '../scheduler/batch.ts';
import type { Compute, Job } from '../scheduler/job.ts';
import { OverloadedError } from '../scheduler/overloaded.ts';

/**
 * Parts of the ceiling: from the first on adapters and batches become smaller, at the second they are as small as can be and nothing
 * grows, and at the third requests are refused.
 */
const [TIGHT, FULL, OVER] = [0.7, 0.85, 0.95];
/** Positions of a batch whose memory is not known; each may be twice the largest that there was. */
const FIRST_CELLS = 8;
/** A body has room for as much always, as small requests must come in that are to be refused. */
const LEAST_FOR_BODIES = 2 ** 20;
/** Adapters that are read at a time. */
const READ_AT_A_TIME = 2;
/** What an adapter takes in the process, in the worker and in the runtime, compared to its own bytes. */
const OF_AN_ADAPTER = 3;
/** Milliseconds between two times that garbage is collected. */
const BETWEEN_COLLECTIONS = 500;

/** What a ceiling looks at and does, so that tests can be exact about it. */
export interface MemoryOptions {
  /** Bytes that the process has. */
  readonly resident?: () => number;
  /** Collects garbage now. */
  readonly collect?: () => void;
  /** Milliseconds. */
  readonly now?: () => number;
}

/** Keeps the process below so many bytes. */
export class MemoryCeiling {
  /** Bytes. */
  readonly limit: number;
  readonly #resident: () => number;
  readonly #collect: () => void;
  readonly #now: () => number;
  #collected = -Infinity;
  /** Positions of the largest batch, whose memory the runtime keeps. */
  #largest = FIRST_CELLS;
  /** Bytes by which a position more has made the process larger, at most. */
  #perCell = 0;
  /** Bytes before the first request. */
  #base = 0;
  #reading = 0;
  readonly #readers: (() => void)[] = [];
  #shrink: (part: number) => void = () => undefined;

  constructor(
    limit: number,
    { resident = rss, collect = collectGarbage, now = () => performance.now() }: MemoryOptions = {},
  ) {
    this.limit = limit;
    this.#resident = resident;
    this.#collect = collect;
    this.#now = now;
  }

  /** @param shrink gives up so large a part of the adapters in memory, from 0 to 1 */
  whenTight(shrink: (part: number) => void): void {
    this.#shrink = shrink;
  }

  /** How tight it is: 0 below the first of these parts, 1 from the second on. */
  get pressure(): number {
    return Math.min(1, Math.max(0, (this.#resident() / this.limit - TIGHT) / (FULL - TIGHT)));
  }

  /** Bytes up to where nothing may grow; below 0 beyond that. */
  get room(): number {
    return FULL * this.limit - this.#resident();
  }

  /**
   * Whether the model alone fits.
   *
   * @throws OnnxLoraError `CONFIG_INVALID` where it does not
   */
  requireRoom(): void {
    this.#collect();
    const taken = this.#resident();
    this.#base = taken;
    if (taken < TIGHT * this.limit) return;
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `maxMemoryBytes is ${this.limit}, and the process takes ${taken} bytes before the first request. Set ${Math.ceil(taken / TIGHT)} at least, or serve a smaller model.`,
    );
  }

  /** Bytes that adapters may take, of `most`. */
  adapterBytes(most: number): number {
    return (1 - this.pressure) * Math.min(most, (this.limit - this.#base) / OF_AN_ADAPTER);
  }

  /** Bytes that bodies may take, of `most`. */
  bodyBytes(most: number): number {
    return Math.max(LEAST_FOR_BODIES, Math.min(most, this.room / 2));
  }

  /** How large the next batch may be, of what it may be otherwise. */
  batchLimits({ maxRows = 32, maxCells = Infinity }: BatchLimits): Required<Pick<BatchLimits, 'maxRows' | 'maxCells'>> {
    const { pressure } = this;
    return {
      maxRows: Math.max(1, Math.round(maxRows * (1 - pressure))),
      maxCells: Math.min(maxCells, this.#largest + (1 - pressure) * this.#more),
    };
  }

  /** Whether a request would not fit. What is no larger than what there was finds its room again, one after the other. */
  refuses(job: Pick<Job, 'rows' | 'length' | 'bytes'>, isIdle: boolean): boolean {
    const growth = Math.max(0, cellsOf(job) - this.#largest) * Math.max(this.#perCell, (job.bytes ?? 0) / cellsOf(job));
    const fits = (): boolean => (growth === 0 ? isIdle || !this.#isOver : growth < this.room);
    if (fits()) return false;
    this.#relieve();
    return !fits();
  }

  get #isOver(): boolean {
    return this.#resident() > OVER * this.limit;
  }

  /** Positions that a batch may have beyond the largest. */
  get #more(): number {
    return this.#perCell === 0 ? this.#largest : Math.min(this.#largest, Math.max(0, this.room) / this.#perCell);
  }

  /** What is computed, of which is learnt how much memory it takes. */
  watched<Work, Answer>(compute: Compute<Work, Answer>): Compute<Work, Answer> {
    return async (batch, signal) => {
      const rows = batch.reduce((sum, each) => sum + each.rows, 0);
      const cells = rows * batch.reduce((most, { length }) => Math.max(most, length), 1);
      const before = this.#resident();
      try {
        return await compute(batch, signal);
      } finally {
        if (cells > this.#largest) {
          const growth = Math.max(0, this.#resident() - before) / (cells - this.#largest);
          this.#perCell = Math.max(this.#perCell, growth);
          this.#largest = cells;
        }
      }
    };
  }

  /** A catalog that reads few adapters at a time, and none where there is no room. */
  bounded(catalog: AdapterCatalog): AdapterCatalog {
    return {
      resolve: (name, options) => catalog.resolve(name, options),
      list: () => catalog.list(),
      load: async (key): Promise<Adapter> => {
        if (this.#reading >= (this.room > 0 ? READ_AT_A_TIME : 1))
          await new Promise<void>((resolve) => this.#readers.push(resolve));
        this.#reading++;
        try {
          if (this.room <= 0) this.#relieve();
          if (this.#isOver && this.#reading > 1) throw new OverloadedError('memory', 1000);
          return await catalog.load(key);
        } finally {
          this.#reading--;
          this.#readers.shift()?.();
        }
      },
    };
  }

  /** Gives up adapters, and what nothing holds any more. */
  #relieve(): void {
    const now = this.#now();
    if (now - this.#collected < BETWEEN_COLLECTIONS) return;
    this.#collected = now;
    this.#shrink(0.5);
    this.#collect();
  }
}

function rss(): number {
  return process.memoryUsage.rss();
}
