/** @file Evaluates several adapters of one model as one. */

import { type Adapter, type Model, modelFor, OnnxLoraError } from '@onnx-lora/sdk';
import type { PreparedTask, RunnableOptions, Task } from '@onnx-lora/sdk/tasks';
import { type EnsembleEvaluation, measureEnsemble } from './measureEnsemble.ts';
import { answeringAdapters } from '../tasks/records/answeringAdapters.ts';

/**
 * The task as it is, unless there is an ensemble, folders of other adapters: then `evaluate` measures the mean of the answers of all its adapters.
 * Of one predicted number it tells too how many measured ones lie within 1.96 deviations (`inside95`, which is 0.95 where
 * deviations can be trusted), and what deviations must be multiplied by (`deviationFactor`). It is not to be trained.
 */
export function withEnsemble(task: Task, ensemble: readonly string[] | undefined): Task {
  if (ensemble === undefined) return task;
  return {
    name: task.name,
    prepare: async (model) => {
      const data = await task.prepare(model);
      const measure: PreparedTask['measure'] = async ({ adapter, options: load, ...request }) => {
        const all = await answeringAdapters(adapter, ensemble);
        const adapters = Object.fromEntries(all.map((each, i) => [String(i), each]));
        const { metrics, intervals, calibration = [] } = await measureEnsemble({ ...request, data, task: task.name, adapters, load }); // prettier-ignore
        const [only, ...others] = calibration;
        if (!only || others.length > 0) return { metrics, intervals };
        const inside95 = only.coverage.find(({ level }) => level === 0.95)!.found;
        return { metrics: { ...metrics, inside95, deviationFactor: only.factor }, intervals };
      };
      const loss: PreparedTask['loss'] = () => {
        throw new OnnxLoraError(
          'CONFIG_INVALID',
          'Adapters of an ensemble are trained one by one, each with another --seed. Leave the setting ensemble out here, and give it to eval and predict.',
        );
      };
      return { ...data, loss, measure };
    },
  };
}

/** Options of {@link evaluateEnsemble}. */
export interface EnsembleOptions extends Omit<RunnableOptions, 'adapters'> {
  /** A task on sequences or residues with classes, labels or numbers, such as a regression, on labelled data. */
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
