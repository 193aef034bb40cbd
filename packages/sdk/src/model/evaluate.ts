/** @file `evaluate`: how good the base, or the base with an adapter, is at a task. */

import type { Adapter } from '../adapter/adapter.ts';
import { OnnxLoraError } from '../errors.ts';
import type { MetricCollector, Metrics, Task } from '../plugin/task.ts';
import type { Provider } from '../runtime/session.ts';
import type { Model } from './model.ts';

/** Options of {@link evaluate}. */
export interface EvaluateOptions {
  readonly task: Task;
  /** The base alone without one. */
  readonly adapter?: Adapter;
  /** Examples per run; 32 by default. */
  readonly batchSize?: number;
  readonly provider?: Provider;
  readonly threads?: number;
  /** Only the first so many examples. */
  readonly limit?: number;
  /** Accept an adapter that says it was trained on other weights. */
  readonly allowBaseMismatch?: boolean;
  /** Called after each batch with the number of examples done and the total. */
  readonly onBatch?: (done: number, total: number) => void;
}

/** What {@link evaluate} finds. */
export interface Evaluation {
  readonly metrics: Metrics;
  /** Counts `[true class, predicted class]`, where the task has classes. */
  readonly confusion?: ReturnType<NonNullable<MetricCollector['confusion']>>;
  readonly examples: number;
  readonly seconds: number;
}

/**
 * Evaluates on the task's held-out data, or on all of its data when none is held out.
 *
 * @throws OnnxLoraError as `task.prepare` and `model.session` do
 */
export async function evaluate(model: Model, options: EvaluateOptions): Promise<Evaluation> {
  const { task, adapter, batchSize = 32, provider, threads, limit, allowBaseMismatch = false, onBatch } = options;
  if (!Number.isInteger(batchSize) || batchSize < 1)
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `batchSize must be a whole number of at least 1, but it is ${batchSize}.`,
    );
  const data = await task.prepare(model);
  const examples = data.validation ?? data.train;
  const total = Math.min(examples.length, limit ?? Infinity);
  const session = await model.session({
    adapters: adapter ? { adapter } : {},
    allowBaseMismatch,
    ...(provider === undefined ? {} : { provider }),
    ...(threads === undefined ? {} : { threads }),
  });
  const collector = data.metrics();
  const start = performance.now();
  try {
    for (let done = 0; done < total; done += batchSize) {
      const count = Math.min(batchSize, total - done);
      const rows = await Promise.all(Array.from({ length: count }, (_, i) => examples.get(done + i)));
      const { inputs, targets } = await data.collate(rows);
      collector.update(await session.run(inputs, { adapter: adapter ? 'adapter' : null }), targets);
      onBatch?.(done + count, total);
    }
  } finally {
    await session.release();
  }
  const confusion = collector.confusion?.();
  return {
    metrics: collector.result(),
    ...(confusion ? { confusion } : {}),
    examples: total,
    seconds: (performance.now() - start) / 1000,
  };
}
