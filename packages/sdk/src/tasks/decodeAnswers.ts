/** @file Decodes the outputs of a head into predictions. */

import type { Tensor } from '../runtime/tensor.ts';
import type { ClassPrediction, LabelsPrediction, NumberPrediction, ScoredLabel } from '../plugin/predictions.ts';
import type { OutputProcessor } from '../plugin/predictor.ts';
import type { TaskModel } from '../plugin/taskModel.ts';
import { temperatureOf } from './classification/calibration.ts';
import type { HeadPort } from './classification/chooseHead.ts';
import { thresholdsOf } from './classification/labelling.ts';
import { labelsOrNumbers } from './classification/modelLabels.ts';
import { type MultiLabelMetricsOptions, probability } from './classification/multiLabelMetrics.ts';
import { bestClasses, logSumExp, scoresOf } from './classification/scores.ts';
import type { AnswerKind } from './examples.ts';

/**
 * Makes {@link Processor.decode} for a head, as {@link decodeClasses}, {@link decodeLabels} or {@link decodeValues},
 * with the model's labels and the adapter's temperature or thresholds. @throws OnnxLoraError `CONFIG_INVALID`
 */
export function headDecoder(
  model: TaskModel,
  { output, outputs }: HeadPort,
  kind: AnswerKind,
): OutputProcessor['decode'] {
  if (kind === 'numbers') {
    const names = valueNames(outputs);
    return (results) => decodeValues(results, output, names);
  }
  const labels = labelsOrNumbers(model, outputs);
  if (kind === 'classes') return (results) => decodeClasses(results, output, labels, temperatureOf(model));
  const thresholds = thresholdsOf(model, labels, 0.5);
  return (results) => decodeLabels(results, { output, labels, thresholds });
}

/**
 * Decodes an output `[batch, classes]` into `{ label, score, top }` per row. `top` lists the five most likely classes,
 * best first, with the softmax of the scores divided by the temperature.
 * @throws OnnxLoraError `INPUT_INVALID` if the output is missing or has another shape; `LOSS_NOT_FINITE` for NaN or
 *   infinity
 */
export function decodeClasses(
  outputs: Readonly<Record<string, Tensor>>,
  output: string,
  labels: readonly string[],
  temperature = 1,
): ClassPrediction[] {
  const { rows, classes, data } = scoresOf(outputs, output, labels.length);
  return Array.from({ length: rows }, (_, i) => {
    const row = data.subarray(i * classes, (i + 1) * classes).map((score) => score / temperature);
    const total = logSumExp(row);
    const top = bestClasses(row, 5).map((c): ScoredLabel => ({ label: labels[c]!, score: Math.exp(row[c]! - total) }));
    return { ...top[0]!, top };
  });
}

/**
 * Decodes an output `[batch, labels]` into `{ labels, scores }` per row: the labels from their thresholds on, joined by
 * commas, and the probability of each label.
 * @throws OnnxLoraError `INPUT_INVALID` if the output is missing or has another shape; `LOSS_NOT_FINITE` for NaN or
 *   infinity
 */
export function decodeLabels(
  outputs: Readonly<Record<string, Tensor>>,
  { output, labels, thresholds }: MultiLabelMetricsOptions,
): LabelsPrediction[] {
  const { rows, classes, data } = scoresOf(outputs, output, labels.length);
  return Array.from({ length: rows }, (_, row) => {
    const scores = labels.map((_label, i) => probability(data[row * classes + i]!));
    return {
      labels: labels.filter((_label, i) => scores[i]! >= thresholds[i]!).join(', '),
      scores: Object.fromEntries(labels.map((label, i) => [label, scores[i]!])),
    };
  });
}

/** Decodes an output into `{ value }` per row, or `{ values }` by name. @throws OnnxLoraError as {@link scoresOf} */
export function decodeValues(
  outputs: Readonly<Record<string, Tensor>>,
  output: string,
  names: readonly string[],
): NumberPrediction[] {
  const { rows, classes, data } = scoresOf(outputs, output, names.length);
  return Array.from({ length: rows }, (_, row) => {
    const own = [...data.subarray(row * classes, (row + 1) * classes)];
    if (own.length === 1) return { value: own[0]! };
    return { values: Object.fromEntries(names.map((name, i) => [name, own[i]!])) };
  });
}

/** Default names of predicted numbers; a single one is `value`. */
export function valueNames(count: number): readonly string[] {
  return count === 1 ? ['value'] : Array.from({ length: count }, (_, i) => `value ${i + 1}`);
}
