/** @file Held-out scores, and temperature scaling: scores divided by one number, so that probabilities say how often the answer is right. */

import type { ReportRequest } from '../../plugin/preparedTask.ts';
import type { TaskModel } from '../../plugin/taskModel.ts';
import { type BatchSource, heldOut } from '../batches.ts';
import { highestOf } from '../../statistics/classMeasure.ts';
import { logSumExp, type Scores, scoresOf } from './scores.ts';

/** Scores and the classes that are true, one per row. */
export interface LabelledScores extends Scores {
  /** The number of each row's class. */
  readonly truths: readonly number[];
}

/** Answers of about the same confidence. */
export interface ConfidenceBin {
  /** How many answers there are. */
  readonly count: number;
  /** Mean probability of the answers. */
  readonly confidence: number;
  /** Share of them that is right. */
  readonly accuracy: number;
}

/**
 * The temperature that makes the truths most likely. The cross-entropy is convex in its inverse, so there is one; it is kept
 * between 0.1 and 10, where all answers are right or scores say nothing.
 *
 * @see Guo et al., "On Calibration of Modern Neural Networks" (2017), arXiv:1706.04599, section 4.2
 */
export function fitTemperature(scores: LabelledScores): number {
  let [low, high] = [Math.log(0.1), Math.log(10)];
  for (let i = 0; i < 60; i++) {
    const middle = (low + high) / 2;
    if (slope(scores, Math.exp(middle)) < 0) low = middle;
    else high = middle;
  }
  return 1 / Math.exp((low + high) / 2);
}

/** Derivative of the cross-entropy by the inverse temperature: the expected score less the true one's. */
function slope({ rows, classes, data, truths }: LabelledScores, inverse: number): number {
  let sum = 0;
  for (let i = 0; i < rows; i++) {
    // In float64, since what is left of a slope is small where nearly all is right.
    const row = Float64Array.from(data.subarray(i * classes, (i + 1) * classes));
    const scaled = row.map((score) => score * inverse);
    const total = logSumExp(scaled);
    const own = row[truths[i]!]!;
    scaled.forEach((score, c) => (sum += Math.exp(score - total) * (row[c]! - own)));
  }
  return sum;
}

/** The answer for one example. */
export interface ClassAnswer {
  /** The example's number in its dataset. */
  readonly index: number;
  /** Number of the class that is right. */
  readonly truth: number;
  /** Number of the class that the model names. */
  readonly answer: number;
  /** Probability of the answer. */
  readonly confidence: number;
}

/** The answers that scores give when they are divided by the temperature. */
export function answersOf({ rows, classes, data, truths }: LabelledScores, temperature = 1): ClassAnswer[] {
  return Array.from({ length: rows }, (_, index) => {
    const row = data.subarray(index * classes, (index + 1) * classes).map((score) => score / temperature);
    const answer = highestOf(row);
    return { index, truth: truths[index]!, answer, confidence: Math.exp(row[answer]! - logSumExp(row)) };
  });
}

/** Answers by confidence, in bins of equal width from 0 to 1; those without answers are left out. */
export function reliability(scores: LabelledScores, temperature = 1, bins = 15): readonly ConfidenceBin[] {
  const all = Array.from({ length: bins }, () => ({ count: 0, confidence: 0, right: 0 }));
  for (const { truth, answer, confidence } of answersOf(scores, temperature)) {
    // Bins are open at their lower end, as in Guo et al.
    const bin = all[Math.min(bins - 1, Math.max(0, Math.ceil(confidence * bins) - 1))]!;
    bin.count++;
    bin.confidence += confidence;
    if (answer === truth) bin.right++;
  }
  return all.flatMap(({ count, confidence, right }) =>
    count === 0 ? [] : [{ count, confidence: confidence / count, accuracy: right / count }],
  );
}

/** Expected calibration error: how far confidence and accuracy are apart, the mean over answers. */
export function calibrationError(bins: readonly ConfidenceBin[]): number {
  const total = bins.reduce((sum, { count }) => sum + count, 0);
  return (
    bins.reduce((sum, { count, confidence, accuracy }) => sum + count * Math.abs(accuracy - confidence), 0) / total
  );
}

/** The temperature that was saved with the adapter; 1 without. */
export function temperatureOf({ learned }: TaskModel): number {
  const temperature = learned?.['temperature'];
  return typeof temperature === 'number' && temperature > 0 ? temperature : 1;
}

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
