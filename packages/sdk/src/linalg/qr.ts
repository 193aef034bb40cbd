/** @file Householder QR decomposition. */

import { addScaled, matmul, type Matrix, sliceRows, transpose } from './matrix.ts';

/** Thin QR decomposition: A = Q · R. */
export interface Orthogonal {
  /** Orthonormal columns, `[rows, k]`. */
  readonly Q: Matrix;
  /** Upper triangular, `[k, columns]`. */
  readonly R: Matrix;
}

/** The first `k` columns of Q and rows of R, with LAPACK's signs; takes `k` steps, by default min(rows, columns). */
export function qr(a: Matrix, k: number = Math.min(a.rows, a.columns)): Orthogonal {
  // Columns of A as rows: reflections then access contiguous memory.
  const columns = transpose(a);
  const length = a.rows;
  const { data } = columns;
  const reflectors: { readonly v: Float64Array; readonly tau: number }[] = [];
  for (let j = 0; j < k; j++) {
    const reflector = householder(data.subarray(j * length + j, (j + 1) * length));
    reflectors.push(reflector);
    for (let i = j; i < a.columns; i++) reflect(reflector, data, i * length + j);
  }
  const Q = { rows: k, columns: length, data: new Float64Array(k * length) };
  for (let i = 0; i < k; i++) {
    Q.data[i * length + i] = 1;
    for (let j = i; j >= 0; j--) reflect(reflectors[j]!, Q.data, i * length + j);
  }
  const R = sliceRows(transpose(columns), 0, k);
  for (let i = 0; i < k; i++) R.data.fill(0, i * a.columns, i * a.columns + i);
  return { Q: transpose(Q), R };
}

/** The reflection I − τ·v·vᵀ that takes x to (β, 0, …), with β of the opposite sign of x₀. */
function householder(x: Float64Array): { readonly v: Float64Array; readonly tau: number } {
  const v = x.slice();
  // A vector along the axis stays unchanged, sign included, as in LAPACK.
  if (x.subarray(1).every((value) => value === 0)) return { v, tau: 0 };
  const norm = Math.sqrt(sumOfSquares(x));
  v[0]! += x[0]! >= 0 ? norm : -norm;
  return { v, tau: 2 / sumOfSquares(v) };
}

function reflect({ v, tau }: { readonly v: Float64Array; readonly tau: number }, data: Float64Array, at: number): void {
  if (tau === 0) return;
  let dot = 0;
  for (let i = 0; i < v.length; i++) dot += v[i]! * data[at + i]!;
  const factor = tau * dot;
  for (let i = 0; i < v.length; i++) data[at + i]! -= factor * v[i]!;
}

function sumOfSquares(x: Float64Array): number {
  let sum = 0;
  for (const value of x) sum += value * value;
  return sum;
}

/** The block orthogonalized against Q; twice, to remove rounding errors. */
export function orthogonalTo(Q: Matrix, block: Matrix): Matrix {
  let result = block;
  for (let pass = 0; pass < 2; pass++)
    result = addScaled(result, matmul(Q, matmul(Q, result, { transposeA: true })), -1);
  return result;
}
