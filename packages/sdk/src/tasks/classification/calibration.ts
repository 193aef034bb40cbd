/** @file Held-out scores and temperature scaling, which calibrates probabilities. */

import type { ReportRequest } from '../../plugin/preparedTask.ts';
import type { TaskModel } from '../../plugin/taskModel.ts';
import { type BatchSource, heldOut } from '../batches.ts';
import { highestOf } from '../../statistics/classMeasure.ts';
import { logSumExp, type Scores, scoresOf } from './scores.ts';

/** Scores with the true class of each row. */
export interface LabelledScores extends Scores {
  /** Index of each row's true class. */
  readonly truths: readonly number[];
}

/** Answers of similar confidence. */
export interface ConfidenceBin {
  /** Number of answers. */
  readonly count: number;
  /** Mean probability. */
  readonly confidence: number;
  /** Fraction of correct answers. */
  readonly accuracy: number;
}

/**
 * Fits the temperature of maximum likelihood by bisection: the cross-entropy is convex in the inverse temperature. The
 * range is 0.1 to 10, for when all answers are right or scores are uninformative. See Guo et al., "On Calibration of
 * Modern Neural Networks" (2017), arXiv:1706.04599, section 4.2.
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
    // In float64, since slopes are small where nearly all answers are right.
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
  /** Index of the example in its dataset. */
  readonly index: number;
  /** Index of the true class. */
  readonly truth: number;
  /** Index of the predicted class. */
  readonly answer: number;
  /** Probability of the predicted class. */
  readonly confidence: number;
}

/** The predicted classes, with scores divided by the temperature. */
export function answersOf({ rows, classes, data, truths }: LabelledScores, temperature = 1): ClassAnswer[] {
  return Array.from({ length: rows }, (_, index) => {
    const row = data.subarray(index * classes, (index + 1) * classes).map((score) => score / temperature);
    const answer = highestOf(row);
    return { index, truth: truths[index]!, answer, confidence: Math.exp(row[answer]! - logSumExp(row)) };
  });
}

/** Groups answers by confidence into bins of equal width from 0 to 1; empty bins are left out. */
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

/** Expected calibration error: the mean difference between confidence and accuracy. */
export function calibrationError(bins: readonly ConfidenceBin[]): number {
  const total = bins.reduce((sum, { count }) => sum + count, 0);
  return (
    bins.reduce((sum, { count, confidence, accuracy }) => sum + count * Math.abs(accuracy - confidence), 0) / total
  );
}

/** The temperature saved with the adapter; 1 without one. */
export function temperatureOf({ learned }: TaskModel): number {
  const temperature = learned?.['temperature'];
  return typeof temperature === 'number' && temperature > 0 ? temperature : 1;
}

/** Examples with their true classes. */
export interface LabelledExamples<Example> extends BatchSource<Example> {
  /** Index of each example's class. */
  readonly truths: readonly number[];
}

/** Scores of all examples, in order. @throws OnnxLoraError as {@link scoresOf} */
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
