/** @file A task with another loss than its own. */

import type { Metrics } from '../statistics/measure.ts';
import type { PreparedTask, Task } from '../plugin/preparedTask.ts';

/** Options of {@link withLoss}. */
export interface WithLossOptions {
  /**
   * The loss compares rows of a batch with each other, as contrastive ones do, so that no batch may be computed in parts;
   * false by default.
   */
  readonly comparesRows?: boolean;
}

/**
 * The task with another loss; its data and metrics stay.
 *
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
