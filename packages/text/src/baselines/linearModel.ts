/** @file Linear models on rows of few numbers: logistic regression and ridge, by L-BFGS. */

import { type Matrix, matrix } from '@onnx-lora/sdk/plugin';

/** Rows of few numbers that are not 0. */
export interface SparseRows {
  /** Number of columns. */
  readonly columns: number;
  /** Of each row, its columns and the numbers in them. */
  readonly rows: readonly { readonly at: Int32Array; readonly values: Float64Array }[];
}

/** What is predicted: numbers, one of several classes, or any of several labels. */
export type LinearKind = 'numbers' | 'classes' | 'labels';

/** A fitted model. */
export interface LinearModel {
  readonly kind: LinearKind;
  readonly outputs: number;
  /** `[columns + 1, outputs]`, the intercept last. */
  readonly weights: Float64Array;
}

/** Steps, and how many of the last ones say how the loss is curved. */
const STEPS = 200;
const REMEMBERED = 10;
/** Where the largest slope, in parts of the number of rows, is taken for none. */
const FLAT = 1e-6;

/**
 * Minimises c · Σ loss + ½ ‖weights‖², without a penalty on intercepts: scikit-learn's `LogisticRegression(C=c)` of classes, the same of
 * each label by itself, and of numbers `Ridge(alpha=1/c)`.
 *
 * @param targets `[rows, outputs]`: numbers, or 1 for what is right and 0 for the others
 */
export function fitLinear(features: SparseRows, targets: Matrix, kind: LinearKind, c: number): LinearModel {
  const outputs = targets.columns;
  const weights = new Float64Array((features.columns + 1) * outputs);
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
  minimise(at, weights, FLAT * c * Math.max(1, features.rows.length));
  return { kind, outputs, weights };
}

/** Numbers or probabilities `[rows, outputs]`. */
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

/**
 * L-BFGS with steps that are halved until the loss falls enough.
 *
 * @param at writes the slope at a point into its second argument, and gives the loss
 * @param x where it begins, and in the end the minimum
 * @see Nocedal & Wright, Numerical Optimization, algorithms 7.4 and 7.5
 */
function minimise(at: (x: Float64Array, slope: Float64Array) => number, x: Float64Array, flat: number): void {
  let slope = new Float64Array(x.length);
  let loss = at(x, slope);
  let nextSlope = new Float64Array(x.length);
  const [next, direction] = [new Float64Array(x.length), new Float64Array(x.length)];
  // They say about where to go: half of the digits do.
  const past: { readonly step: Float32Array; readonly turn: Float32Array; readonly scale: number }[] = [];
  for (let n = 0; n < STEPS && slope.some((each) => Math.abs(each) > flat); n++) {
    slope.forEach((each, i) => (direction[i] = -each));
    const shares = [...past].reverse().map(({ step, turn, scale }) => {
      const share = scale * dot(step, direction);
      addTo(direction, turn, -share);
      return share;
    });
    const last = past.at(-1);
    // Of a first step nothing is known but its direction.
    const size = last ? 1 / (last.scale * dot(last.turn, last.turn)) : 1 / Math.max(1, Math.sqrt(dot(slope, slope)));
    addTo(direction, direction, size - 1);
    past.forEach(({ step, turn, scale }, i) => addTo(direction, step, shares[past.length - 1 - i]! - scale * dot(turn, direction))); // prettier-ignore
    const fall = dot(direction, slope);
    let length = 1;
    let nextLoss = Infinity;
    for (; length > 1e-10; length /= 2) {
      next.set(x);
      addTo(next, direction, length);
      nextLoss = at(next, nextSlope);
      if (nextLoss <= loss + 1e-4 * length * fall) break;
    }
    if (!(nextLoss < loss)) return;
    // The oldest gives its place.
    const oldest = past.length === REMEMBERED ? past.shift() : undefined;
    const step = difference(next, x, oldest?.step);
    const turn = difference(nextSlope, slope, oldest?.turn);
    const curved = dot(step, turn);
    if (curved > 0) past.push({ step, turn, scale: 1 / curved });
    x.set(next);
    [slope, nextSlope, loss] = [nextSlope, slope, nextLoss];
  }
}

function difference(a: Float64Array, b: Float64Array, into: Float32Array = new Float32Array(a.length)): Float32Array {
  for (let i = 0; i < a.length; i++) into[i] = a[i]! - b[i]!;
  return into;
}

function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

function addTo(x: Float64Array, other: ArrayLike<number>, times: number): void {
  for (let i = 0; i < x.length; i++) x[i]! += times * other[i]!;
}
