/** @file What each model has computed: the base, and each adapter, as Triton's statistics extension tells it. */

import type { Work } from '../inference/compute.ts';
import type { Compute } from '../scheduler/job.ts';

/** How often something was, and how many nanoseconds it took in all. */
export interface Duration {
  count: number;
  ns: number;
}

/** Of one model. */
export interface ModelStatistics {
  /** When it was last asked for, in milliseconds since 1970. */
  lastInference: number;
  /** Rows that were computed, and batches with some of them. */
  rows: number;
  batches: number;
  /** Requests from when they came to their answer, or their failure. */
  readonly success: Duration;
  readonly fail: Duration;
  /** What they waited for their batch, and what that computed. */
  readonly queue: Duration;
  readonly compute: Duration;
  /** Batches by how many rows of this model they had. */
  readonly bySize: Map<number, Duration>;
}

/** Adapters that are counted; those asked for least recently are forgotten. */
const MOST_MODELS = 10_000;
/** Sizes of batches that are told apart. */
const MOST_SIZES = 128;

const none = (): Duration => ({ count: 0, ns: 0 });
const add = (duration: Duration, milliseconds: number): void => {
  duration.count++;
  duration.ns += Math.round(milliseconds * 1e6);
};

/** Counts of all models, by the keys of their adapters; null is the base. */
export class Statistics {
  readonly #models = new Map<string | null, ModelStatistics>();

  /** What a model has computed; nothing yet where it was not asked for. */
  of(key: string | null): ModelStatistics {
    return this.#models.get(key) ?? empty();
  }

  /** Counts what is computed. A batch that fails is computed in halves, and counts once each request is alone. */
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
