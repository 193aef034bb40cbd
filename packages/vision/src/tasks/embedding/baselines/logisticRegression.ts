/** @file Multinomial logistic regression with an L2 penalty: a linear probe of features. */

import { scaled, type Scaling, scalingOf } from '@onnx-lora/sdk/tasks';
import { type Matrix, matrix, minimize, matmul, transpose } from '@onnx-lora/sdk/plugin';

/** A fitted classifier on standardised features. */
export interface LogisticRegression {
  readonly scaling: Scaling;
  /** `[classes, features]` */
  readonly weight: Matrix;
  readonly bias: Float64Array;
}

/** What is fitted. */
export interface LogisticRegressionRequest {
  /** `[examples, features]` */
  readonly features: Matrix;
  /** Numbers of the classes, from 0. */
  readonly labels: ArrayLike<number>;
  readonly classes: number;
  /** How weak the penalty is: the sum of the examples' losses times C, plus half the weights' squares. */
  readonly C: number;
  /** Where the search begins; the neighbouring C's solution saves most of it. */
  readonly from?: LogisticRegression | undefined;
  /** The largest gradient that is left, of the mean loss; 1e-5 by default. */
  readonly tolerance?: number | undefined;
  /** Steps at most; 200 by default. */
  readonly iterations?: number | undefined;
}

/**
 * Fits weights to features, each of which is brought to mean 0 and deviation 1 first. It is scikit-learn's
 * `make_pipeline(StandardScaler(), LogisticRegression(C=C))`; of two classes each has weights of its own here, so that
 * its C is twice this one.
 */
export function fitLogisticRegression({
  features,
  labels,
  classes,
  C,
  from,
  tolerance,
  iterations,
}: LogisticRegressionRequest): LogisticRegression {
  const { rows: n, columns: d } = features;
  const scaling = scalingOf(features);
  const x = scaled(features, scaling);
  const columns = transpose(x);
  const size = d * classes;
  const valueAt = (point: Float64Array, gradient: Float64Array): number => {
    const scores = scoresOf(columns, matrix(classes, d, point.subarray(0, size)), point.subarray(size));
    const loss = toDifferences(scores, labels);
    gradient.fill(0, size);
    gradient.set(matmul(scores, x).data);
    let penalty = 0;
    for (let i = 0; i < size; i++) {
      penalty += point[i]! ** 2;
      gradient[i] = (gradient[i]! + point[i]! / C) / n;
    }
    scores.data.forEach((difference, at) => (gradient[size + Math.floor(at / n)]! += difference / n));
    return (loss + penalty / (2 * C)) / n;
  };
  const start = new Float64Array(size + classes);
  if (from) {
    start.set(from.weight.data);
    start.set(from.bias, size);
  }
  const found = minimize(valueAt, start, { tolerance, iterations });
  return { scaling, weight: matrix(classes, d, found.slice(0, size)), bias: found.slice(size) };
}

/** The likeliest class of each row of features `[examples, features]`. */
export function predictClasses({ scaling, weight, bias }: LogisticRegression, features: Matrix): number[] {
  const scores = scoresOf(transpose(scaled(features, scaling)), weight, bias);
  return Array.from({ length: features.rows }, (_, i) => {
    let best = 0;
    for (let c = 1; c < scores.rows; c++)
      if (scores.data[c * scores.columns + i]! > scores.data[best * scores.columns + i]!) best = c;
    return best;
  });
}

/** Scores `[classes, examples]`: long rows are multiplied fastest. */
function scoresOf(columns: Matrix, weight: Matrix, bias: Float64Array): Matrix {
  const scores = matmul(weight, columns);
  for (let at = 0; at < scores.data.length; at++) scores.data[at]! += bias[Math.floor(at / scores.columns)]!;
  return scores;
}

/** Turns scores `[classes, examples]` into their softmax less 1 at the label; the sum of the cross-entropies. */
function toDifferences({ rows: classes, columns: n, data }: Matrix, labels: ArrayLike<number>): number {
  let loss = 0;
  for (let i = 0; i < n; i++) {
    let top = -Infinity;
    for (let at = i; at < data.length; at += n) top = Math.max(top, data[at]!);
    const label = labels[i]! * n + i;
    const own = data[label]! - top;
    let sum = 0;
    for (let at = i; at < data.length; at += n) sum += data[at] = Math.exp(data[at]! - top);
    for (let c = 0; c < classes; c++) data[c * n + i]! /= sum;
    data[label]! -= 1;
    loss += Math.log(sum) - own;
  }
  return loss;
}
