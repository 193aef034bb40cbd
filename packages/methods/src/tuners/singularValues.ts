/** @file Singular value decomposition of large weights in seconds. */

import {
  type Matrix,
  matmul,
  scaleColumns,
  type SingularValues,
  svd,
  symmetricEigen,
  transpose,
} from '@onnx-lora/sdk/plugin';

const SMALL = 128;

/** Below this ratio to the largest value, vectors would not be orthogonal. */
const LEAST = 1e-5;

/** Thin SVD; large well-conditioned matrices by the eigenvectors of AᵀA. @throws RangeError for NaN or ∞ */
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
