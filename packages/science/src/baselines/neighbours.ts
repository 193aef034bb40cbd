/** @file Answers by the training examples that are nearest. */

import { takeRows, spread } from '@onnx-lora/sdk/tasks';
import { type Matrix, matrix } from '@onnx-lora/sdk/plugin';
import { matmul, sliceRows } from '@onnx-lora/sdk/core';

/** Numbers of neighbours that are tried. */
const candidates = [1, 2, 3, 5, 10, 20, 50];
/** Queries at a time, so that distances of all to all need not be in memory. */
const block = 256;
/** Training examples that are answered by the others to choose the number of neighbours. */
const mostTrials = 1000;

/** What is known. */
export interface Known {
  /** `[examples, features]` */
  readonly features: Matrix;
  /** `[examples, outputs]`: numbers, or 1 for the class of an example and 0 for the others. */
  readonly targets: Matrix;
}

/**
 * The mean of the targets of the `k` training examples that are nearest to each query by Euclid's distance, of equally near
 * ones the first: scikit-learn's `KNeighborsRegressor(k)`, and of targets of 0 and 1 the probabilities of
 * `KNeighborsClassifier(k)`.
 */
export function neighbourAnswers({ features, targets }: Known, queries: Matrix, k: number): Matrix {
  const result = matrix(queries.rows, targets.columns);
  let at = 0;
  forNearest(features, queries, k, undefined, (near) => {
    result.data.set(meanOf(targets, near), at);
    at += targets.columns;
  });
  return result;
}

/**
 * The number of neighbours with the least squared error when training examples are answered by the others, each left out in
 * turn; of more than 1,000, as many evenly spread ones.
 */
export function bestNeighbourCount({ features, targets }: Known): number {
  const counts = candidates.filter((k) => k < features.rows);
  if (counts.length === 0) return 1;
  const chosen = spread(features.rows, mostTrials);
  const errors = counts.map(() => 0);
  let at = 0;
  forNearest(features, takeRows(features, chosen), counts.at(-1)!, chosen, (near) => {
    const truth = targets.data.subarray(chosen[at]! * targets.columns, (chosen[at]! + 1) * targets.columns);
    at++;
    counts.forEach((k, i) => {
      const answer = meanOf(targets, near.subarray(0, k));
      for (let j = 0; j < truth.length; j++) errors[i]! += (answer[j]! - truth[j]!) ** 2;
    });
  });
  return counts[errors.indexOf(Math.min(...errors))]!;
}

/** Calls `use` with the nearest of each query, nearest first. `own`: which training example each query is, to be left out. */
function forNearest(
  train: Matrix,
  queries: Matrix,
  k: number,
  own: readonly number[] | undefined,
  use: (near: Int32Array) => void,
): void {
  const lengths = squares(train);
  for (let from = 0; from < queries.rows; from += block) {
    const part = sliceRows(queries, from, Math.min(from + block, queries.rows));
    // |q − x|² less |q|², which is the same for all x.
    const products = matmul(part, train, { transposeB: true }).data;
    for (let i = 0; i < part.rows; i++) {
      const distance = (x: number): number => lengths[x]! - 2 * products[i * train.rows + x]!;
      use(nearest(train.rows, distance, k, own?.[from + i]));
    }
  }
}

/** The `k` of least distance, nearest first, without `own`. */
function nearest(count: number, distance: (x: number) => number, k: number, own: number | undefined): Int32Array {
  const order = new Int32Array(k);
  const distances = new Float64Array(k).fill(Infinity);
  let found = 0;
  for (let x = 0; x < count; x++) {
    const value = distance(x);
    if (x === own || (found === k && value >= distances[k - 1]!)) continue;
    let at = found < k ? found++ : k - 1;
    for (; at > 0 && distances[at - 1]! > value; at--) {
      distances[at] = distances[at - 1]!;
      order[at] = order[at - 1]!;
    }
    distances[at] = value;
    order[at] = x;
  }
  return order.subarray(0, found);
}

function squares({ rows, columns, data }: Matrix): Float64Array {
  const result = new Float64Array(rows);
  for (let i = 0; i < data.length; i++) result[Math.floor(i / columns)]! += data[i]! ** 2;
  return result;
}

function meanOf({ columns, data }: Matrix, rows: Int32Array): Float64Array {
  const result = new Float64Array(columns);
  for (const row of rows) for (let j = 0; j < columns; j++) result[j]! += data[row * columns + j]! / rows.length;
  return result;
}
