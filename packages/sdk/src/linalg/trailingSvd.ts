/** @file The trailing components of a singular value decomposition. */

import type { Random } from '../runtime/random.ts';
import { type SingularValues, svd, symmetricEigen } from './decompositions.ts';
import { joinColumns, type Matrix, matmul, matrix, scaleColumns, sliceColumns } from './matrix.ts';
import { orthogonalTo, qr } from './qr.ts';

/** For smaller matrices, or a large fraction of the components, compute all at once. */
const SMALL = 128;

const BLOCK = 4;

/** Convergence: the eigenvector residual is below this fraction of the largest eigenvalue. */
const TOLERANCE = 1e-9;

/** Singular values below this fraction of the matrix's norm count as zero. */
const NOTHING = 1e-8;

/** Diagonal shift as a fraction of the mean squared singular value: keeps vectors, and makes the matrix invertible. */
const SHIFT = 1e-12;

/**
 * The last `rank` components of the thin SVD, or all if there are fewer: the leading eigenvectors of the inverse of
 * A·Aᵀ or Aᵀ·A, the smaller, found as in {@link leadingSvd}. For a weight of 768 by 768 and usual adapter ranks this
 * takes a second; all components take 30.
 * @throws RangeError for values that are not finite
 */
export function trailingSvd(a: Matrix, rank: number, random: Random): SingularValues {
  const size = Math.min(a.rows, a.columns);
  const isWide = a.rows <= a.columns;
  const vectors = size <= SMALL || 8 * rank > size ? undefined : smallest(a, isWide, rank, random);
  if (!vectors) return last(svd(a), rank);
  // A maps the vectors of one side to the other side's times the singular values.
  const other = matmul(a, vectors, { transposeA: isWide });
  const S = Float64Array.from({ length: rank }, (_, k) => {
    let sum = 0;
    for (let i = 0; i < other.rows; i++) sum += other.data[i * rank + k]! ** 2;
    return Math.sqrt(sum);
  });
  // For near-zero singular values, the other side's vectors would be rounding errors.
  const norm = Math.hypot(...columnNorms(a));
  if (S.some((each) => each < NOTHING * norm)) return last(svd(a), rank);
  const turned = scaleColumns(other, S.map((each) => 1 / each)); // prettier-ignore
  return isWide ? { U: vectors, S, V: turned } : { U: turned, S, V: vectors };
}

/** Orthonormal, by descending singular value; undefined if not converged. */
function smallest(a: Matrix, isWide: boolean, rank: number, random: Random): Matrix | undefined {
  const square = isWide ? matmul(a, a, { transposeB: true }) : matmul(a, a, { transposeA: true });
  const n = square.rows;
  let trace = 0;
  for (let i = 0; i < n; i++) trace += square.data[i * (n + 1)]!;
  if (!Number.isFinite(trace) || trace === 0) return undefined;
  for (let i = 0; i < n; i++) square.data[i * (n + 1)]! += (SHIFT * trace) / n;
  const factor = cholesky(square);
  if (!factor) return undefined;
  const start = matrix(n, BLOCK);
  for (let i = 0; i < start.data.length; i++) start.data[i] = random.normal();
  let [Q, C, block] = [matrix(n, 0), matrix(n, 0), solved(factor, start)];
  for (let next = 4 * rank + 8 * BLOCK; Q.columns + BLOCK <= n / 2;) {
    const own = qr(orthogonalTo(Q, block)).Q;
    block = solved(factor, own);
    [Q, C] = [joinColumns(Q, own), joinColumns(C, block)];
    if (Q.columns < next) continue;
    const { values, V } = symmetricEigen(matmul(Q, C, { transposeA: true }));
    const order = [...values.keys()].sort((i, j) => values[j]! - values[i]!).slice(0, rank);
    const chosen = chosenColumns(V, order.reverse());
    const [vectors, images] = [matmul(Q, chosen), matmul(C, chosen)];
    const largest = values[order.at(-1)!]!;
    const off = images.data.map((each, i) => each - values[order[i % rank]!]! * vectors.data[i]!);
    if (Math.hypot(...columnNorms({ ...images, data: off })) <= TOLERANCE * largest) return vectors;
    next = Math.ceil(1.4 * next);
  }
  return undefined;
}

/** L of A = L·Lᵀ, from the lower triangle; undefined if A is not positive definite. */
function cholesky({ rows: n, data }: Matrix): Matrix | undefined {
  const L = matrix(n, n, data.slice());
  for (let i = 0; i < n; i++)
    for (let j = 0; j <= i; j++) {
      let sum = L.data[i * n + j]!;
      for (let k = 0, [p, q] = [i * n, j * n]; k < j; k++) sum -= L.data[p + k]! * L.data[q + k]!;
      if (i === j && !(sum > 0)) return undefined;
      L.data[i * n + j] = i === j ? Math.sqrt(sum) : sum / L.data[j * n + j]!;
    }
  return L;
}

/** Solves L·Lᵀ·X = B. */
function solved({ rows: n, data: L }: Matrix, b: Matrix): Matrix {
  const [x, width] = [b.data.slice(), b.columns];
  const less = (to: number, from: number, times: number): void => {
    for (let j = 0; j < width; j++) x[to * width + j]! -= times * x[from * width + j]!;
  };
  const divide = (row: number): void => {
    for (let j = 0; j < width; j++) x[row * width + j]! /= L[row * (n + 1)]!;
  };
  for (let i = 0; i < n; i++) {
    for (let k = 0; k < i; k++) less(i, k, L[i * n + k]!);
    divide(i);
  }
  for (let i = n - 1; i >= 0; i--) {
    divide(i);
    for (let k = 0; k < i; k++) less(k, i, L[i * n + k]!);
  }
  return matrix(n, width, x);
}

function columnNorms({ rows, columns, data }: Matrix): number[] {
  return Array.from({ length: columns }, (_, k) => {
    let sum = 0;
    for (let i = 0; i < rows; i++) sum += data[i * columns + k]! ** 2;
    return Math.sqrt(sum);
  });
}

function chosenColumns({ rows, columns, data }: Matrix, order: readonly number[]): Matrix {
  const count = order.length;
  const values = Float64Array.from({ length: rows * count }, (_, i) => data[Math.floor(i / count) * columns + order[i % count]!]!); // prettier-ignore
  return matrix(rows, count, values);
}

function last({ U, S, V }: SingularValues, rank: number): SingularValues {
  const from = Math.max(0, S.length - rank);
  return { U: sliceColumns(U, from, S.length), S: S.slice(from), V: sliceColumns(V, from, S.length) };
}
