/** @file Says a classifier's answer in words. */

import type { Tensor } from '../../../runtime/tensor.ts';
import type { Prediction } from '../../predictor.ts';
import { bestClasses, logSumExp, scoresOf } from './scores.ts';

/** A class and its probability, 0 to 1. */
export interface ScoredLabel {
  /** The name of the class. */
  readonly label: string;
  /** Its probability. */
  readonly score: number;
}

/**
 * One prediction per row of the output `[batch, classes]` called `output`: `{ label, score, top }`, where `top` lists
 * the five likeliest classes, best first, with the probabilities that softmax gives them when scores are divided by the
 * temperature.
 *
 * @throws OnnxLoraError `INPUT_INVALID` when the output is missing or of another shape; `LOSS_NOT_FINITE` when a score
 *   is NaN or infinite
 */
export function decodeClasses(
  outputs: Readonly<Record<string, Tensor>>,
  output: string,
  labels: readonly string[],
  temperature = 1,
): Prediction[] {
  const { rows, classes, data } = scoresOf(outputs, output, labels.length);
  return Array.from({ length: rows }, (_, i) => {
    const row = data.subarray(i * classes, (i + 1) * classes).map((score) => score / temperature);
    const total = logSumExp(row);
    const top = bestClasses(row, 5).map((c): ScoredLabel => ({ label: labels[c]!, score: Math.exp(row[c]! - total) }));
    return { ...top[0]!, top };
  });
}
