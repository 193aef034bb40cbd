/** @file A run that several processes make together. */

import type { PreparedTask } from '../../plugin/preparedTask.ts';
import type { LossAndGradients } from '../../train/step/gradientMean.ts';
import type { Trainer } from '../../train/trainer.ts';
import { gradientsOfBatch } from './batchGradients.ts';
import type { LoadedBatch } from './batchQueue.ts';

/**
 * Divides a run's steps among processes that begin alike: same model, data, settings and seed. Each computes its batches
 * and applies the mean over all, so that all have the same parameters after each step.
 */
export interface GradientExchange {
  /**
   * Whether this process computes a batch. It loads no others.
   * @param step counted from 0
   * @param batch of the step, from 0 to `accumulationSteps` − 1
   */
  computes(step: number, batch: number): boolean;
  /**
   * Gives the batches that this process has computed, by number, and takes the mean over all batches of the step. To
   * the last digit that of one process is `GradientMean` over the batches in their order.
   */
  exchange(step: number, own: ReadonlyMap<number, LossAndGradients>): Promise<LossAndGradients>;
}

/** Numbers of dropout masks that a batch may take: one for each of its pieces. */
const DRAWS = 2 ** 12;

/** Computes this process's batches of a step, and exchanges them. */
export async function exchanged(
  step: number,
  batches: readonly LoadedBatch[],
  trainer: Trainer,
  data: PreparedTask,
  by: GradientExchange,
): Promise<LossAndGradients> {
  const own = new Map<number, LossAndGradients>();
  for (const [i, batch] of batches.entries()) {
    // Masks by step and batch: whoever computes it, and after whatever, they are the same.
    const draw = (step * batches.length + i) * DRAWS;
    if (by.computes(step, i)) own.set(i, await gradientsOfBatch(batch, trainer, data, draw));
  }
  return by.exchange(step, own);
}
