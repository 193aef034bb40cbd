/** @file Linear models on sparse rows: logistic regression and ridge, by L-BFGS. */

import { type Matrix, matrix, minimize } from '@onnx-lora/sdk/plugin';

/** A sparse matrix by rows. */
export interface SparseRows {
  readonly columns: number;
  /** Per row, the columns and values that are not 0. */
  readonly rows: readonly { readonly at: Int32Array; readonly values: Float64Array }[];
}

/** The kind of target: numbers, one of several classes, or any of several labels. */
export type LinearKind = 'numbers' | 'classes' | 'labels';

export interface LinearModel {
  readonly kind: LinearKind;
  readonly outputs: number;
  /** `[columns + 1, outputs]`, the intercept last. */
  readonly weights: Float64Array;
}

/** Convergence threshold for the largest gradient per row. */
const FLAT = 1e-6;

/**
 * Minimises c · Σ loss + ½ ‖weights‖² with unpenalised intercepts: scikit-learn's `LogisticRegression(C=c)` for
 * classes, the same per label, and `Ridge(alpha=1/c)` for numbers.
 * @param targets `[rows, outputs]`: numbers, or 1 for the right class or label and 0 for the others
 */
export function fitLinear(features: SparseRows, targets: Matrix, kind: LinearKind, c: number): LinearModel {
  const outputs = targets.columns;
  const penalised = features.columns * outputs;
  const at = (w: Float64Array, slope: Float64Array): number => {
    let loss = 0;
    slope.fill(0);
    for (let i = 0; i < penalised; i++) {
      loss += 0.5 * w[i]! ** 2;
      slope[i] = w[i]!;
    }
    features.rows.forEach((row, i) => {
      const scores = scoresOf(w, row, features.columns, outputs);
      const truths = targets.data.subarray(i * outputs, (i + 1) * outputs);
      loss += c * lossOf(scores, truths, kind);
      const errors = answersFrom(scores, kind).map((answer, j) => c * (answer - truths[j]!));
      for (let k = 0; k < row.at.length; k++)
        for (let j = 0; j < outputs; j++) slope[row.at[k]! * outputs + j]! += row.values[k]! * errors[j]!;
      for (let j = 0; j < outputs; j++) slope[penalised + j]! += errors[j]!;
    });
    return loss;
  };
  const tolerance = FLAT * c * Math.max(1, features.rows.length);
  return { kind, outputs, weights: minimize(at, new Float64Array((features.columns + 1) * outputs), { tolerance }) };
}

/** Predicts numbers or probabilities `[rows, outputs]`. */
export function linearAnswers({ kind, outputs, weights }: LinearModel, { columns, rows }: SparseRows): Matrix {
  const result = matrix(rows.length, outputs);
  rows.forEach((row, i) => result.data.set(answersFrom(scoresOf(weights, row, columns, outputs), kind), i * outputs));
  return result;
}

function scoresOf(
  weights: Float64Array,
  { at, values }: SparseRows['rows'][number],
  columns: number,
  outputs: number,
): Float64Array {
  const scores = weights.slice(columns * outputs);
  for (let k = 0; k < at.length; k++)
    for (let j = 0; j < outputs; j++) scores[j]! += values[k]! * weights[at[k]! * outputs + j]!;
  return scores;
}

function answersFrom(scores: Float64Array, kind: LinearKind): Float64Array {
  if (kind === 'numbers') return scores;
  if (kind === 'labels') return scores.map((score) => 1 / (1 + Math.exp(-score)));
  const most = Math.max(...scores);
  const powers = scores.map((score) => Math.exp(score - most));
  const sum = powers.reduce((all, each) => all + each, 0);
  return powers.map((each) => each / sum);
}

function lossOf(scores: Float64Array, truths: ArrayLike<number>, kind: LinearKind): number {
  if (kind === 'numbers') return scores.reduce((sum, score, j) => sum + 0.5 * (score - truths[j]!) ** 2, 0);
  // log(1 + exp(s)) − truth · s, without overflow.
  if (kind === 'labels')
    return scores.reduce((sum, s, j) => sum + Math.max(s, 0) + Math.log1p(Math.exp(-Math.abs(s))) - truths[j]! * s, 0);
  const most = Math.max(...scores);
  const logSum = most + Math.log(scores.reduce((sum, score) => sum + Math.exp(score - most), 0));
  return logSum - scores.reduce((sum, score, j) => sum + truths[j]! * score, 0);
}
