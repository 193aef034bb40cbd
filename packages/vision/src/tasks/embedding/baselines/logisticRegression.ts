/** @file Multinomial logistic regression with an L2 penalty. */

import { standardise, type Scaling, standardisationOf } from '@onnx-lora/sdk/tasks';
import { type Matrix, matrix, minimize, matmul, transpose } from '@onnx-lora/sdk/plugin';

/** A classifier fitted on standardised features. */
export interface LogisticRegression {
  readonly scaling: Scaling;
  readonly weight: Matrix;
  readonly bias: Float64Array;
}

export interface LogisticRegressionRequest {
  /** `[examples, features]` */
  readonly features: Matrix;
  readonly labels: ArrayLike<number>;
  readonly classes: number;
  /** Inverse penalty: minimises C times the sum of losses, plus half the squared weights. */
  readonly C: number;
  /** Initial solution, such as a neighbouring C's. */
  readonly from?: LogisticRegression | undefined;
  /** Largest remaining gradient of the mean loss; 1e-5 by default. */
  readonly tolerance?: number | undefined;
  readonly iterations?: number | undefined;
}

/**
 * Fits standardised features like scikit-learn's `make_pipeline(StandardScaler(), LogisticRegression(C=C))`. Two
 * classes have separate weights here, so scikit-learn's C is twice this one.
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
  const scaling = standardisationOf(features);
  const x = standardise(features, scaling);
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

/** The most probable class of each row of features `[examples, features]`. */
export function predictClasses({ scaling, weight, bias }: LogisticRegression, features: Matrix): number[] {
  const scores = scoresOf(transpose(standardise(features, scaling)), weight, bias);
  return Array.from({ length: features.rows }, (_, i) => {
    let best = 0;
    for (let c = 1; c < scores.rows; c++)
      if (scores.data[c * scores.columns + i]! > scores.data[best * scores.columns + i]!) best = c;
    return best;
  });
}

/** Scores `[classes, examples]`, since long rows multiply fastest. */
function scoresOf(columns: Matrix, weight: Matrix, bias: Float64Array): Matrix {
  const scores = matmul(weight, columns);
  for (let at = 0; at < scores.data.length; at++) scores.data[at]! += bias[Math.floor(at / scores.columns)]!;
  return scores;
}

/** Turns scores `[classes, examples]` into softmax minus one-hot labels; returns the summed cross-entropy. */
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
