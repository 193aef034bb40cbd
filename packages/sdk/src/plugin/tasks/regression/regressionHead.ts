/** @file The head that answers with numbers: the model's own where it gives as many, or a new one. */

import { OnnxLoraError } from '../../../errors.ts';
import type { TaskModel } from '../../taskModel.ts';
import { type HeadPort, replacedHead, type TaskHead } from '../classification/chooseHead.ts';

/** How a head is chosen. */
export interface RegressionHeadChoice {
  /** `auto` keeps the model's own where it is one for as many numbers, `new` always makes one, `keep` never. */
  readonly mode: 'auto' | 'new' | 'keep';
  /** The head on the features of a model without one. */
  readonly attach: (model: TaskModel, names: readonly string[]) => TaskHead;
  /** What examples are called in messages, in the plural: `images`. */
  readonly noun: string;
}

/**
 * The head for numbers of these names.
 *
 * @param own the head that the model has
 * @throws OnnxLoraError `DATA_INVALID` where the model's own head is to answer and gives another count
 */
export function regressionHead(
  model: TaskModel,
  own: HeadPort | undefined,
  names: readonly string[],
  { mode, attach, noun }: RegressionHeadChoice,
): TaskHead {
  if (own && mode !== 'new' && own.outputs === names.length && (mode === 'keep' || givesNumbers(model)))
    return { output: own.output, labels: names };
  if (mode !== 'keep') return own ? replacedHead(own, names) : attach(model, names);
  throw new OnnxLoraError(
    'DATA_INVALID',
    `The ${noun} have ${names.length} numbers each, and "${model.name}" gives ${own?.outputs ?? 'none'}. Have it get a new head (head: 'auto').`,
  );
}

/** Whether the model's head gives numbers, not scores of classes. */
function givesNumbers({ config, learned }: TaskModel): boolean {
  return config?.['problem_type'] === 'regression' || learned?.['problem'] === 'regression';
}
