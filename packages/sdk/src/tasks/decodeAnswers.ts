/** @file Says in words what a head answers: a class, labels or numbers for each row. */

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
 * What the scores of a head say, for {@link Processor.decode}: of classes as {@link decodeClasses} with the model's labels and
 * the temperature that was saved with the adapter, of labels as {@link decodeLabels} with its thresholds, of numbers as
 * {@link decodeValues}.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` where config.json names another number of classes
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
 * One prediction per row: `{ labels, scores }`, where `labels` are those from their thresholds on, joined by commas, and
 * `scores` the probability of each label.
 *
 * @throws OnnxLoraError `INPUT_INVALID` when the output is missing or of another shape; `LOSS_NOT_FINITE` when a score
 *   is NaN or infinite
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

/**
 * One prediction per row: `{ value }`, or `{ values }` by name where there are several.
 *
 * @throws OnnxLoraError `INPUT_INVALID` when the output is missing or of another shape; `LOSS_NOT_FINITE` when a number
 *   is NaN or infinite
 */
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

/** Names of the numbers where the data have none: one is `value`. */
export function valueNames(count: number): readonly string[] {
  return count === 1 ? ['value'] : Array.from({ length: count }, (_, i) => `value ${i + 1}`);
}
