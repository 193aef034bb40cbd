/** @file Statistics of the base and each adapter, for Triton's statistics extension. */

import type { Work } from '../inference/compute.ts';
import type { Compute } from '../scheduler/job.ts';

/** Count and total nanoseconds. */
export interface Duration {
  count: number;
  ns: number;
}

export interface ModelStatistics {
  /** Last request, in milliseconds since 1970. */
  lastInference: number;
  /** Computed rows, and batches that contain some. */
  rows: number;
  batches: number;
  /** Requests from arrival to answer or failure. */
  readonly success: Duration;
  readonly fail: Duration;
  /** Waiting and computing of requests. */
  readonly queue: Duration;
  readonly compute: Duration;
  /** Batches by their rows of this model. */
  readonly bySize: Map<number, Duration>;
}

/** Maximum counted adapters; least recently used are forgotten. */
const MOST_MODELS = 10_000;
/** Maximum distinct batch sizes. */
const MOST_SIZES = 128;

const none = (): Duration => ({ count: 0, ns: 0 });
const add = (duration: Duration, milliseconds: number): void => {
  duration.count++;
  duration.ns += Math.round(milliseconds * 1e6);
};

/** Statistics by adapter key; null is the base. */
export class Statistics {
  readonly #models = new Map<string | null, ModelStatistics>();

  /** Statistics of a model; empty without requests. */
  of(key: string | null): ModelStatistics {
    return this.#models.get(key) ?? empty();
  }

  /** Counts batches. A failing batch is split, and counts only as single requests. */
  counted<Outputs>(compute: Compute<Work, Outputs>): Compute<Work, Outputs> {
    return async (batch, signal) => {
      const start = performance.now();
      let answers: Awaited<ReturnType<typeof compute>> | undefined;
      try {
        return (answers = await compute(batch, signal));
      } finally {
        if (answers || batch.length === 1) this.#count(batch, start, answers);
      }
    };
  }

  #count(batch: Parameters<Compute<Work, unknown>>[0], start: number, answers: readonly unknown[] | undefined): void {
    const took = performance.now() - start;
    const rowsOf = new Map<string | null, number>();
    for (const [i, { adapter, rows, work }] of batch.entries()) {
      const model = this.#touched(adapter);
      const waited = Math.max(0, start - (work.since ?? start));
      const isAnswered = answers !== undefined && !(answers[i] instanceof Error);
      add(isAnswered ? model.success : model.fail, waited + took);
      if (!isAnswered) continue;
      add(model.queue, waited);
      add(model.compute, took);
      rowsOf.set(adapter, (rowsOf.get(adapter) ?? 0) + rows);
    }
    for (const [adapter, rows] of rowsOf) {
      const model = this.#touched(adapter);
      model.rows += rows;
      model.batches++;
      const own = model.bySize.get(rows) ?? none();
      if (model.bySize.has(rows) || model.bySize.size < MOST_SIZES) model.bySize.set(rows, own);
      add(own, took);
    }
  }

  #touched(key: string | null): ModelStatistics {
    const model = this.#models.get(key) ?? empty();
    this.#models.delete(key);
    this.#models.set(key, model);
    if (this.#models.size > MOST_MODELS) this.#models.delete(this.#models.keys().next().value!);
    model.lastInference = Date.now();
    return model;
  }
}

function empty(): ModelStatistics {
  return { lastInference: 0, rows: 0, batches: 0, success: none(), fail: none(), queue: none(), compute: none(), bySize: new Map() }; // prettier-ignore
}
