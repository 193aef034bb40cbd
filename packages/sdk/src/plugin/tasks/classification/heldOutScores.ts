/** @file The scores that the finished adapter gives to all held-out examples. */

import type { ReportRequest } from '../../preparedTask.ts';
import type { BatchSource } from '../batches.ts';
import { heldOut } from '../heldOut.ts';
import type { LabelledScores } from './calibration.ts';
import { scoresOf } from './scores.ts';

/** Held-out examples and their classes. */
export interface LabelledExamples<Example> extends BatchSource<Example> {
  /** The number of each example's class. */
  readonly truths: readonly number[];
}

/**
 * Scores of all examples, in their order.
 *
 * @throws OnnxLoraError `INPUT_INVALID` when the output is missing or of another shape; `LOSS_NOT_FINITE` when a score
 *   is NaN or infinite
 */
export async function heldOutScores<Example>(
  examples: LabelledExamples<Example>,
  request: Pick<ReportRequest, 'run' | 'batchSize'>,
  { output, labels }: { readonly output: string; readonly labels: readonly string[] },
): Promise<LabelledScores> {
  const { dataset, truths } = examples;
  const data = new Float32Array(dataset.length * labels.length);
  let at = 0;
  for await (const { outputs } of heldOut(examples, request)) {
    const { data: rows } = scoresOf(outputs, output, labels.length);
    data.set(rows, at);
    at += rows.length;
  }
  return { rows: dataset.length, classes: labels.length, data, truths };
}
