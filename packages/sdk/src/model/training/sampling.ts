/** @file How often examples are drawn: what the user says, as weights. */

import { OnnxLoraError } from '../../errors.ts';
import type { Dataset } from '../../plugin/task.ts';
import { checkedWeights } from '../../train/weightedOrder.ts';

/** Each example once in an epoch; as many of every class; or as often as weights say, one per example. */
export type Sampling = 'uniform' | 'balanced' | readonly number[];

/**
 * The weights of all examples; undefined where each comes once.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for weights that cannot be, or a task that cannot balance
 */
export function samplingWeights(
  sampling: Sampling | undefined,
  { weights, length }: Dataset<unknown>,
): readonly number[] | undefined {
  if (sampling === undefined || sampling === 'uniform') return undefined;
  if (sampling !== 'balanced' && !Array.isArray(sampling)) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `sampling is 'uniform', 'balanced' or a list of weights, but it is ${JSON.stringify(sampling)}.`,
    );
  }
  if (sampling !== 'balanced') return checkedWeights(sampling, length, 'sampling');
  if (weights) return checkedWeights(weights, length, "The task's dataset");
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    "sampling: 'balanced' draws every class equally often, but this task has no classes. Leave it out, or give a weight per example.",
  );
}
