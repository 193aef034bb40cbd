/** @file Says in words which of several labels are given. */

import type { Tensor } from '../../../runtime/tensor.ts';
import type { Prediction } from '../../predictor.ts';
import type { TaskModel } from '../../taskModel.ts';
import { type MultiLabelMetricsOptions, probability } from './multiLabelMetrics.ts';
import { scoresOf } from './scores.ts';

/**
 * One prediction per row: `{ labels, scores }`, where `labels` are those from their thresholds on, joined by commas, and
 * `scores` the probability of each label.
 *
 * @throws OnnxLoraError `INPUT_INVALID` when the output is missing or of another shape; `LOSS_NOT_FINITE` when a score
 *   is NaN or infinite
 */
export function decodeLabels(
  outputs: Readonly<Record<string, Tensor>>,
  { output, labels, thresholds }: MultiLabelMetricsOptions,
): Prediction[] {
  const { rows, classes, data } = scoresOf(outputs, output, labels.length);
  return Array.from({ length: rows }, (_, row) => {
    const scores = labels.map((_label, i) => probability(data[row * classes + i]!));
    return {
      labels: labels.filter((_label, i) => scores[i]! >= thresholds[i]!).join(', '),
      scores: Object.fromEntries(labels.map((label, i) => [label, scores[i]!])),
    };
  });
}

/** The thresholds that were saved with the adapter; for labels without one, the usual one. */
export function thresholdsOf({ learned }: TaskModel, labels: readonly string[], usual: number): readonly number[] {
  const saved = learned?.['thresholds'];
  const known = new Map(typeof saved === 'object' && saved !== null ? Object.entries(saved) : []);
  return labels.map((label) => {
    const own: unknown = known.get(label);
    return typeof own === 'number' ? own : usual;
  });
}
