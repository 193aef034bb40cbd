/** @file Ridge regression, its penalty chosen by leaving out each example in turn. */

import { symmetricEigen } from '../../linalg/decompositions.ts';
import { type Matrix, matmul, matrix, scaleColumns, scaleRows } from '../../linalg/matrix.ts';

/** A linear model of features. */
export interface Ridge {
  /** `[features, outputs]` */
  readonly weight: Matrix;
  /** `[outputs]` */
  readonly bias: Float64Array;
  /** How much the weights' squares count beside the sum of squared errors. */
  readonly alpha: number;
}

/** How the penalty is chosen. */
export interface RidgeOptions {
  /** Penalties to choose from, for features of deviation 1; 0.01 to 1,000,000 by default. */
  readonly alphas?: readonly number[] | undefined;
  /**
   * Takes the largest penalty whose error is within one standard error of the least, in place of the best one: smaller weights,
   * which bear features that change.
   */
  readonly isCautious?: boolean | undefined;
}

/** Penalties that are tried, for features of deviation 1. */
const penalties: readonly number[] = [1e-2, 1e-1, 1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6];

/**
 * Fits `targets ≈ features · weight + bias` with the penalty whose squared error is least when each example is left out in
 * turn, which takes one decomposition for all of them: the error of an example left out is its residual over 1 − hᵢᵢ. It is
 * scikit-learn's `RidgeCV(alphas)`, but for the rule of one standard error, which is that of section 7.10 there.
 *
 * @param features `[examples, features]`
 * @param targets `[examples, outputs]`
 * @see Hastie, Tibshirani, Friedman: The Elements of Statistical Learning, 2009, equation 7.52
 */
export function fitRidge(
  features: Matrix,
  targets: Matrix,
  { alphas = penalties, isCautious = false }: RidgeOptions = {},
): Ridge {
  const { rows: n, columns: outputs } = targets;
  const [middle, center] = [means(features), means(targets)];
  const x = less(features, middle);
  const y = less(targets, center);
  // The smaller of XᵀX and XXᵀ: with either, the fit is P · (PᵀP + α)⁻¹ · Pᵀy, where PᵀP = diag(values).
  const isTall = features.rows >= features.columns;
  const { values: found, V } = symmetricEigen(matmul(x, x, isTall ? { transposeA: true } : { transposeB: true }));
  const values = found.map((value) => Math.max(0, value));
  const P = isTall ? matmul(x, V) : scaleColumns(V, values.map(Math.sqrt));
  const projected = matmul(P, y, { transposeA: true });
  const squares: Matrix = { ...P, data: P.data.map((value) => value * value) };
  const tried = alphas.map((alpha) => {
    const shrink = values.map((value) => 1 / (value + alpha));
    const fitted = matmul(P, scaleRows(projected, shrink));
    const leverage = matmul(squares, matrix(values.length, 1, shrink)).data;
    const errors = new Float64Array(n);
    for (let i = 0; i < n; i++)
      for (let j = 0; j < outputs; j++)
        errors[i]! += ((y.data[i * outputs + j]! - fitted.data[i * outputs + j]!) / (1 - 1 / n - leverage[i]!)) ** 2;
    return { alpha, errors, error: errors.reduce((sum, each) => sum + each, 0) / n };
  });
  const best = tried.reduce((least, each) => (each.error < least.error ? each : least));
  const alpha = isCautious ? cautious(tried, best) : best.alpha;
  const shrink = values.map((value) => 1 / (value + alpha));
  const weight = isTall
    ? matmul(V, scaleRows(projected, shrink))
    : matmul(x, matmul(V, scaleRows(matmul(V, y, { transposeA: true }), shrink)), { transposeA: true });
  const shift = matmul(matrix(1, features.columns, middle), weight).data;
  return { weight, bias: center.map((value, j) => value - shift[j]!), alpha };
}

interface Tried {
  readonly alpha: number;
  /** Squared errors of the examples when each is left out, and their mean. */
  readonly errors: Float64Array;
  readonly error: number;
}

/** The largest penalty that is no worse than the best by more than one standard error of that. */
function cautious(tried: readonly Tried[], { errors, error }: Tried): number {
  const variance = errors.reduce((sum, each) => sum + (each - error) ** 2, 0) / Math.max(1, errors.length - 1);
  const bound = error + Math.sqrt(variance / errors.length);
  return Math.max(...tried.filter((each) => each.error <= bound).map(({ alpha }) => alpha));
}

/** What a model says of features: `[examples, outputs]`. */
export function ridgeAnswers({ weight, bias }: Ridge, features: Matrix): Matrix {
  const answers = matmul(features, weight);
  for (let i = 0; i < answers.data.length; i++) answers.data[i]! += bias[i % bias.length]!;
  return answers;
}

function means({ rows, columns, data }: Matrix): Float64Array {
  const result = new Float64Array(columns);
  for (let i = 0; i < data.length; i++) result[i % columns]! += data[i]! / rows;
  return result;
}

function less({ rows, columns, data }: Matrix, by: Float64Array): Matrix {
  return { rows, columns, data: data.map((value, i) => value - by[i % columns]!) };
}
