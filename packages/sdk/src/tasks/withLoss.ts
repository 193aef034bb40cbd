/** @file Tasks made from others: with another loss, with checked options, or for prediction only. */

import { OnnxLoraError } from '../errors.ts';
import type { Metrics } from '../statistics/measure.ts';
import type { PreparedTask, Task } from '../plugin/preparedTask.ts';
import type { SettingTable } from '../plugin/settings.ts';

/** Options of {@link withLoss}. */
export interface WithLossOptions {
  /** The loss compares rows of a batch, as contrastive ones do, so that batches cannot be split; false by default. */
  readonly comparesRows?: boolean;
}

/**
 * Replaces the loss of a task, but not its data and metrics.
 * @example
 * const task = withLoss(imageClassification('photos'), (g, outputs, targets) =>
 *   softmaxFocal(g, outputs['logits']!, targets['labels']!, { gamma: 2 }),
 * );
 */
export function withLoss<Example, Scores extends Metrics, During extends Metrics>(
  task: Task<Example, Scores, During>,
  loss: PreparedTask<Example>['loss'],
  { comparesRows = false }: WithLossOptions = {},
): Task<Example, Scores, During> {
  return {
    name: task.name,
    prepare: async (model) => {
      const prepared = await task.prepare(model);
      const changed: PreparedTask<Example, Scores, During> = {
        ...prepared,
        collate: (examples) => prepared.collate(examples),
        loss,
        metrics: () => prepared.metrics(),
      };
      if (comparesRows) delete changed.lossWeight;
      else if (prepared.lossWeight) changed.lossWeight = (targets) => prepared.lossWeight!(targets);
      return changed;
    },
  };
}

/** A task for prediction only; preparing it fails with the alternative: `To train …, take the task …`. */
export function predictOnlyTask(name: string, instead: string): Task {
  return {
    name,
    prepare: () =>
      Promise.reject(new OnnxLoraError('CONFIG_INVALID', `The task ${name} only answers (predict). ${instead}.`)),
  };
}

/** A task that checks its options by the table of their settings when it is prepared, before anything is read. */
export function checkedTask<Options, Example, Scores extends Metrics, During extends Metrics>(
  settings: SettingTable<Options>,
  options: Parameters<SettingTable<NoInfer<Options>>['checkOptions']>[0],
  task: Task<Example, Scores, During>,
): Task<Example, Scores, During> {
  return {
    name: task.name,
    prepare: async (model) => {
      settings.checkOptions(options);
      return task.prepare(model);
    },
  };
}
