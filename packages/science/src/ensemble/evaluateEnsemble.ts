/** @file How good several adapters on one base are together, and whether their disagreement tells how far they are wrong. */

import { type Adapter, type Model, modelFor, OnnxLoraError } from '@onnx-lora/sdk';
import type { RunnableOptions, Task } from '@onnx-lora/sdk/tasks';
import { type EnsembleEvaluation, measureEnsemble } from './measureEnsemble.ts';

/** Options of {@link evaluateEnsemble}. */
export interface EnsembleOptions extends Omit<RunnableOptions, 'adapters'> {
  /** A task on sequences or residues with classes, labels or numbers, such as {@link sequenceRegression}, on labelled data. */
  readonly task: Task;
  /** Two or more adapters that were trained for this task, such as with several seeds, by any name. */
  readonly adapters: Readonly<Record<string, Adapter>>;
  /** Examples per run; 32 by default. */
  readonly batchSize?: number;
}

/**
 * Measures an ensemble on the task's held-out data, or on all of its data where none are held out. The base is loaded once for
 * all adapters; each batch runs once with each of them.
 *
 * @example
 * ```ts
 * const adapters = { a: await loadAdapter('runs/a/adapter'), b: await loadAdapter('runs/b/adapter') };
 * const { metrics, calibration } = await evaluateEnsemble(model, { task: sequenceRegression('gb1.csv'), adapters });
 * ```
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for fewer than two adapters or a task of another kind; `DATA_INVALID` for data with
 *   other labels; `ADAPTER_MISMATCH`; as `task.prepare` and `model.session` do
 */
export async function evaluateEnsemble(
  model: Model,
  { task, adapters, batchSize = 32, ...load }: EnsembleOptions,
): Promise<EnsembleEvaluation> {
  const [first, ...others] = Object.values(adapters);
  if (!first || others.length === 0) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `An ensemble has two adapters or more, but ${first ? 'one' : 'none'} was given. Give adapters that were trained with different seeds.`,
    );
  }
  const own = modelFor<Model>(model, first);
  return measureEnsemble({
    model: own,
    data: await task.prepare(own),
    task: task.name,
    adapters,
    load,
    batchSize,
  });
}
