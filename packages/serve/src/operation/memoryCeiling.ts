/** @file A memory limit of the process: caches and batches shrink, then requests are refused. */

import { type Adapter, OnnxLoraError } from '@onnx-lora/sdk';
import { collectGarbage } from '@onnx-lora/sdk/core';
import type { AdapterCatalog } from '../adapters/catalog.ts';
import { type BatchLimits, cellsOf } from '../scheduler/batch.ts';
import type { Compute, Job } from '../scheduler/job.ts';
import { OverloadedError } from '../scheduler/overloaded.ts';

/**
 * Fractions of the limit: adapters and batches shrink from TIGHT on, nothing grows from FULL on, and requests are
 * refused from OVER on.
 */
const [TIGHT, FULL, OVER] = [0.7, 0.85, 0.95];
/** Positions of the first batches, whose memory is unknown; each may double the largest one. */
const FIRST_CELLS = 8;
/** Minimum for bodies, so that even refused requests can arrive. */
const LEAST_FOR_BODIES = 2 ** 20;
/** Concurrent adapter loads. */
const READ_AT_A_TIME = 2;
/** Memory of an adapter in process, worker and runtime, relative to its bytes. */
const OF_AN_ADAPTER = 3;
/** Minimum milliseconds between garbage collections. */
const BETWEEN_COLLECTIONS = 500;

/** Replaceable effects, for tests. */
export interface MemoryOptions {
  readonly resident?: () => number;
  readonly collect?: () => void;
  readonly now?: () => number;
}

/** Keeps the process below a memory limit. */
export class MemoryCeiling {
  readonly limit: number;
  readonly #resident: () => number;
  readonly #collect: () => void;
  readonly #now: () => number;
  #collected = -Infinity;
  /** Positions of the largest batch so far, whose memory the runtime keeps. */
  #largest = FIRST_CELLS;
  /** Largest growth per position in bytes. */
  #perCell = 0;
  #base = 0;
  #reading = 0;
  readonly #readers: (() => void)[] = [];
  #shrink: (part: number) => void = () => undefined;

  constructor(
    limit: number,
    { resident = rss, collect = () => collectGarbage(), now = () => performance.now() }: MemoryOptions = {},
  ) {
    this.limit = limit;
    this.#resident = resident;
    this.#collect = collect;
    this.#now = now;
  }

  /** @param shrink unloads a fraction of the adapters */
  whenTight(shrink: (part: number) => void): void {
    this.#shrink = shrink;
  }

  /** Memory pressure: 0 below TIGHT, 1 from FULL on. */
  get pressure(): number {
    return Math.min(1, Math.max(0, (this.#resident() / this.limit - TIGHT) / (FULL - TIGHT)));
  }

  /** Bytes left below FULL; may be negative. */
  get room(): number {
    return FULL * this.limit - this.#resident();
  }

  /** Requires that the model itself fits. @throws OnnxLoraError `CONFIG_INVALID` */
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

  /** Bytes for adapters, of at most `most`. */
  adapterBytes(most: number): number {
    return (1 - this.pressure) * Math.min(most, (this.limit - this.#base) / OF_AN_ADAPTER);
  }

  /** Bytes for bodies, of at most `most`. */
  bodyBytes(most: number): number {
    return Math.max(LEAST_FOR_BODIES, Math.min(most, this.room / 2));
  }

  batchLimits({ maxRows = 32, maxCells = Infinity }: BatchLimits): Required<Pick<BatchLimits, 'maxRows' | 'maxCells'>> {
    const { pressure } = this;
    return {
      maxRows: Math.max(1, Math.round(maxRows * (1 - pressure))),
      maxCells: Math.min(maxCells, this.#largest + (1 - pressure) * this.#more),
    };
  }

  /** Whether to refuse a request. One no larger than earlier ones reuses their memory, one at a time. */
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

  /** Positions by which a batch may exceed the largest. */
  get #more(): number {
    return this.#perCell === 0 ? this.#largest : Math.min(this.#largest, Math.max(0, this.room) / this.#perCell);
  }

  /** Learns the memory of batches. */
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

  /** Limits concurrent loads, and refuses them without memory. */
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

  /** Unloads adapters and collects garbage. */
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
