/** @file Ridge regression with a penalty chosen by leave-one-out cross-validation. */

import { symmetricEigen } from '../../linalg/decompositions.ts';
import { type Matrix, matmul, matrix, scaleColumns, scaleRows } from '../../linalg/matrix.ts';

/** A linear model. */
export interface Ridge {
  /** `[features, outputs]` */
  readonly weight: Matrix;
  /** `[outputs]` */
  readonly bias: Float64Array;
  /** Penalty of the squared weights. */
  readonly alpha: number;
}

/** How the penalty is chosen. */
export interface RidgeOptions {
  /** Candidate penalties, for features of deviation 1; 0.01 to 1,000,000 by default. */
  readonly alphas?: readonly number[] | undefined;
  /** Chooses the largest penalty within one standard error of the best: smaller weights tolerate changing features. */
  readonly isCautious?: boolean | undefined;
}

const penalties: readonly number[] = [1e-2, 1e-1, 1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6];

/**
 * Fits `targets ≈ features · weight + bias` with the penalty of least leave-one-out error, from a single decomposition:
 * the error of a left-out example is its residual over 1 − hᵢᵢ. Equals scikit-learn's `RidgeCV(alphas)`, except for the
 * one-standard-error rule. See Hastie, Tibshirani, Friedman: The Elements of Statistical Learning, 2009, equation 7.52
 * and section 7.10.
 * @param features `[examples, features]`
 * @param targets `[examples, outputs]`
 */
export function fitRidge(
  features: Matrix,
  targets: Matrix,
  { alphas = penalties, isCautious = false }: RidgeOptions = {},
): Ridge {
  const { rows: n, columns: outputs } = targets;
  const [middle, center] = [columnMeans(features), columnMeans(targets)];
  const x = minusRow(features, middle);
  const y = minusRow(targets, center);
  // The smaller of XᵀX and XXᵀ: either gives the fit P · (PᵀP + α)⁻¹ · Pᵀy, where PᵀP = diag(values).
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
  /** Leave-one-out squared errors of the examples, and their mean. */
  readonly errors: Float64Array;
  readonly error: number;
}

function cautious(tried: readonly Tried[], { errors, error }: Tried): number {
  const variance = errors.reduce((sum, each) => sum + (each - error) ** 2, 0) / Math.max(1, errors.length - 1);
  const bound = error + Math.sqrt(variance / errors.length);
  return Math.max(...tried.filter((each) => each.error <= bound).map(({ alpha }) => alpha));
}

/** Predictions for features: `[examples, outputs]`. */
export function ridgeAnswers({ weight, bias }: Ridge, features: Matrix): Matrix {
  const answers = matmul(features, weight);
  for (let i = 0; i < answers.data.length; i++) answers.data[i]! += bias[i % bias.length]!;
  return answers;
}

/** Mean of each column. */
export function columnMeans({ rows, columns, data }: Matrix): Float64Array {
  const result = new Float64Array(columns);
  for (let i = 0; i < data.length; i++) result[i % columns]! += data[i]! / rows;
  return result;
}

/** Subtracts a row from each row. */
export function minusRow({ rows, columns, data }: Matrix, by: Float64Array): Matrix {
  return { rows, columns, data: data.map((value, i) => value - by[i % columns]!) };
}
