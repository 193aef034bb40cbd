/** @file Metrics of regression: errors and correlations. */

import { type Measure, sorted, weightedRanks } from './measure.ts';

/** Metrics of one predicted number. */
export type NumberScores = Readonly<Record<'spearman' | 'pearson' | 'rmse' | 'mae' | 'r2', number>>;

/**
 * Spearman's and Pearson's correlation (NaN where either side is constant), root mean squared error, mean absolute
 * error, and R² = 1 − squared errors ÷ squared distances from the mean (NaN where the truths are constant). They match
 * SciPy's `spearmanr` and `pearsonr` and scikit-learn's metrics.
 */
export function numberMeasure(predicted: ArrayLike<number>, truths: ArrayLike<number>): Measure<NumberScores> {
  const byPrediction = sorted(predicted);
  const byTruth = sorted(truths);
  return (times) => {
    const { covariance, varianceA, varianceB } = moments(predicted, truths, times);
    let [count, squares, sizes] = [0, 0, 0];
    for (let i = 0; i < truths.length; i++) {
      const weight = times ? times[i]! : 1;
      const error = predicted[i]! - truths[i]!;
      count += weight;
      squares += weight * error * error;
      sizes += weight * Math.abs(error);
    }
    return {
      spearman: pearson(weightedRanks(byPrediction, times), weightedRanks(byTruth, times), times),
      pearson: quotient(covariance, varianceA, varianceB),
      rmse: Math.sqrt(squares / count),
      mae: sizes / count,
      r2: varianceB === 0 ? Number.NaN : 1 - squares / varianceB,
    };
  };
}

/** Pearson's correlation when pair i counts `times[i]` times; NaN where either side is constant. */
export function pearson(a: ArrayLike<number>, b: ArrayLike<number>, times?: ArrayLike<number>): number {
  const { covariance, varianceA, varianceB } = moments(a, b, times);
  return quotient(covariance, varianceA, varianceB);
}

/** Spearman's correlation: Pearson's of the ranks. */
export function spearman(a: ArrayLike<number>, b: ArrayLike<number>): number {
  return pearson(weightedRanks(sorted(a)), weightedRanks(sorted(b)));
}

/** Sums of products of deviations from the means. */
function moments(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  times?: ArrayLike<number>,
): Readonly<Record<'covariance' | 'varianceA' | 'varianceB', number>> {
  const [meanA, meanB] = [meanOf(a, times), meanOf(b, times)];
  let [covariance, varianceA, varianceB] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    const weight = times ? times[i]! : 1;
    const [x, y] = [a[i]! - meanA, b[i]! - meanB];
    covariance += weight * x * y;
    varianceA += weight * x * x;
    varianceB += weight * y * y;
  }
  return { covariance, varianceA, varianceB };
}

/** Weighted mean; of equal values exactly that value, so that their variance is 0 without rounding error. */
function meanOf(values: ArrayLike<number>, times?: ArrayLike<number>): number {
  let [count, sum, low, high] = [0, 0, Infinity, -Infinity];
  for (let i = 0; i < values.length; i++) {
    const weight = times ? times[i]! : 1;
    if (weight === 0) continue;
    count += weight;
    sum += weight * values[i]!;
    low = Math.min(low, values[i]!);
    high = Math.max(high, values[i]!);
  }
  return low === high ? low : sum / count;
}

function quotient(covariance: number, varianceA: number, varianceB: number): number {
  const size = Math.sqrt(varianceA) * Math.sqrt(varianceB);
  return size === 0 ? Number.NaN : covariance / size;
}

/** Kendall's τ-b by Knight's method (1966), as SciPy's `kendalltau`; NaN where either side is constant. */
export function kendall(a: ArrayLike<number>, b: ArrayLike<number>): number {
  const n = a.length;
  const order = Int32Array.from({ length: n }, (_, i) => i).sort((i, j) => a[i]! - a[j]! || b[i]! - b[j]!);
  const inOrder = Float64Array.from(order, (i) => b[i]!);
  const pairs = (n * (n - 1)) / 2;
  const tiedA = tiedPairs(n, (i, j) => a[order[i]!] === a[order[j]!]);
  const tiedBoth = tiedPairs(n, (i, j) => a[order[i]!] === a[order[j]!] && inOrder[i] === inOrder[j]);
  const swaps = inversions(inOrder);
  // Sorted by now.
  const tiedB = tiedPairs(n, (i, j) => inOrder[i] === inOrder[j]);
  const size = Math.sqrt(pairs - tiedA) * Math.sqrt(pairs - tiedB);
  return size === 0 ? Number.NaN : (pairs - tiedA - tiedB + tiedBoth - 2 * swaps) / size;
}

/** Pairs within runs of equal neighbours. */
function tiedPairs(n: number, isSame: (i: number, j: number) => boolean): number {
  let [sum, run] = [0, 1];
  for (let i = 1; i <= n; i++) {
    if (i < n && isSame(i, i - 1)) run++;
    else {
      sum += (run * (run - 1)) / 2;
      run = 1;
    }
  }
  return sum;
}

/** Merge sort that counts inversions. */
function inversions(values: Float64Array): number {
  if (values.length < 2) return 0;
  const middle = values.length >> 1;
  const [left, right] = [values.slice(0, middle), values.slice(middle)];
  let count = inversions(left) + inversions(right);
  let [i, j] = [0, 0];
  for (let at = 0; at < values.length; at++) {
    if (j < right.length && (i === left.length || right[j]! < left[i]!)) {
      values[at] = right[j++]!;
      count += left.length - i;
    } else values[at] = left[i++]!;
  }
  return count;
}
