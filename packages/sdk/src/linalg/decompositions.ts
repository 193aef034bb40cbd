/** @file Singular value and eigenvalue decompositions, and symmetric systems; the only user of ml-matrix. */

import {
  CholeskyDecomposition,
  EigenvalueDecomposition,
  Matrix as DenseMatrix,
  SingularValueDecomposition,
} from 'ml-matrix';
import { type Matrix, matmul, matrix, transpose } from './matrix.ts';
import { qr } from './qr.ts';

/** Thin SVD: A = U · diag(S) · Vᵀ. */
export interface SingularValues {
  /** Left singular vectors as columns, `[rows, k]`. */
  readonly U: Matrix;
  /** Singular values, descending, `[k]`. */
  readonly S: Float64Array;
  /** Right singular vectors as columns, `[columns, k]`. */
  readonly V: Matrix;
}

/** The thin SVD; vectors are unique up to sign where values are distinct. @throws RangeError for non-finite values */
export function svd(a: Matrix): SingularValues {
  requireFinite(a);
  if (a.rows < a.columns) {
    const { U, S, V } = svd(transpose(a));
    return { U: V, S, V: U };
  }
  if (a.rows > a.columns) {
    // The triangle R of a tall matrix has the same singular values and is much smaller.
    const { Q, R } = qr(a);
    const { U, S, V } = svd(R);
    return { U: matmul(Q, U), S, V };
  }
  const result = new SingularValueDecomposition(toDense(a));
  return {
    U: fromDense(result.leftSingularVectors),
    S: Float64Array.from(result.diagonal),
    V: fromDense(result.rightSingularVectors),
  };
}

/** Eigendecomposition of a symmetric matrix: V · diag(values) · Vᵀ. */
export interface EigenValues {
  /** Ascending, `[n]`. */
  readonly values: Float64Array;
  /** Orthonormal eigenvectors as columns, `[n, n]`. */
  readonly V: Matrix;
}

/** Eigendecomposition of a symmetric matrix; 15 s for 1,280 rows. @throws RangeError for values that are not finite */
export function symmetricEigen(a: Matrix): EigenValues {
  requireFinite(a);
  const result = new EigenvalueDecomposition(toDense(a), { assumeSymmetric: true });
  return { values: Float64Array.from(result.realEigenvalues), V: fromDense(result.eigenvectorMatrix) };
}

/** Solves A · X = B for a symmetric, positive definite A. @throws RangeError when A is not positive definite */
export function solvePositive(a: Matrix, b: Matrix): Matrix {
  requireFinite(a);
  const cholesky = new CholeskyDecomposition(toDense(a));
  if (!cholesky.isPositiveDefinite()) throw new RangeError('The matrix is not positive definite.');
  return fromDense(cholesky.solve(toDense(b)));
}

function toDense({ rows, columns, data }: Matrix): DenseMatrix {
  const result = new DenseMatrix(rows, columns);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) result.set(i, j, data[i * columns + j]!);
  return result;
}

function fromDense(dense: DenseMatrix): Matrix {
  const result = matrix(dense.rows, dense.columns);
  for (let i = 0; i < dense.rows; i++)
    for (let j = 0; j < dense.columns; j++) result.data[i * dense.columns + j] = dense.get(i, j);
  return result;
}

/** NaN would keep the iteration from converging. */
function requireFinite({ rows, columns, data }: Matrix): void {
  if (!data.every(Number.isFinite))
    throw new RangeError(`A matrix [${rows}, ${columns}] holds values that are not finite.`);
}
