/** @file All singular values of a weight, in seconds where it is large. */

import {
  type Matrix,
  matmul,
  scaleColumns,
  type SingularValues,
  svd,
  symmetricEigen,
  transpose,
} from '@onnx-lora/sdk/plugin';

/** Up to this size the decomposition itself is quick. */
const SMALL = 128;

/** Vectors of smaller ones, as parts of the largest, would not be orthogonal. */
const LEAST = 1e-5;

/**
 * The thin singular value decomposition of a matrix of float32 numbers: of large ones by the eigenvectors of AᵀA, where all
 * singular values are large enough for that.
 *
 * @throws RangeError for numbers that are not finite
 */
export function singularValues(a: Matrix): SingularValues {
  if (Math.min(a.rows, a.columns) <= SMALL) return svd(a);
  if (a.rows < a.columns) {
    const { U, S, V } = singularValues(transpose(a));
    return { U: V, S, V: U };
  }
  const { values, V } = symmetricEigen(matmul(a, a, { transposeA: true }));
  const S = Float64Array.from(values, (each) => Math.sqrt(Math.max(each, 0))).reverse();
  if (!(S.at(-1)! > LEAST * S[0]!)) return svd(a);
  const count = a.columns;
  const descending = { ...V, data: V.data.map((_, i) => V.data[i - (i % count) + count - 1 - (i % count)]!) };
  return {
    U: scaleColumns(
      matmul(a, descending),
      S.map((each) => 1 / each),
    ),
    S,
    V: descending,
  };
}
