/** @file `evaluate`: how good the base, or the base with an adapter, is at a task. */

import type { Adapter } from '../adapter/adapter.ts';
import { OnnxLoraError } from '../errors.ts';
import type { Task } from '../plugin/task.ts';
import type { Provider } from '../runtime/session.ts';
import type { Model } from './model.ts';
import { type Evaluation, measure } from './training/measure.ts';

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
  const session = await model.session({
    adapters: adapter ? { adapter } : {},
    allowBaseMismatch,
    ...(provider === undefined ? {} : { provider }),
    ...(threads === undefined ? {} : { threads }),
  });
  try {
    const evaluation = await measure({
      data,
      examples: data.validation ?? data.train,
      batchSize,
      limit,
      run: (inputs) => session.run(inputs, { adapter: adapter ? 'adapter' : null }),
      onBatch,
    });
    return evaluation!;
  } finally {
    await session.release();
  }
}
