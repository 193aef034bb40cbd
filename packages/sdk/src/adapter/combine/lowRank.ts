/** @file Sums of low-rank products, and their truncated SVDs. */

import { svd, type SingularValues } from '../../linalg/decompositions.ts';
import { matmul, type Matrix, matrix, scaleColumns, sliceColumns, transpose } from '../../linalg/matrix.ts';
import { qr } from '../../linalg/qr.ts';
import { randomSvd } from '../../linalg/randomSvd.ts';
import { Random } from '../../runtime/random.ts';

/** A product B·A. */
export interface Product {
  /** `[out, r]` */
  readonly B: Matrix;
  /** `[r, width]` */
  readonly A: Matrix;
}

/** Σ factor·B·A as one product, with concatenated ranks. A takes the factor. */
export function concatenated(terms: readonly (Product & { readonly factor: number })[]): Product {
  const [out, width] = [terms[0]!.B.rows, terms[0]!.A.columns];
  const r = terms.reduce((sum, { A }) => sum + A.rows, 0);
  const [B, A] = [matrix(out, r), matrix(r, width)];
  let at = 0;
  for (const { B: b, A: a, factor } of terms) {
    for (let o = 0; o < out; o++) B.data.set(b.data.subarray(o * a.rows, (o + 1) * a.rows), o * r + at);
    for (let i = 0; i < a.data.length; i++) A.data[at * width + i] = factor * a.data[i]!;
    at += a.rows;
  }
  return { B, A };
}

/** The truncated SVD of B·A: B becomes U·diag(S), A becomes Vᵀ. Uses QR of both factors, never the product. */
export function truncated({ B, A }: Product, rank: number): Product {
  const left = qr(B);
  const right = qr(transpose(A));
  const { U, S, V } = svd(matmul(left.R, right.R, { transposeB: true }));
  return product({ U: matmul(left.Q, U), S, V: matmul(right.Q, V) }, rank);
}

/** Up to this size, the full SVD is computed. */
const SMALL = 128;
/** Converged if the residual is below float32's precision, relative to the largest singular value. */
const TOLERANCE = 1e-8;
/** Oversampling beyond the expected rank. */
const MARGIN = 8;

/** The truncated SVD of a dense matrix, with small singular values beyond about the `expected` rank. */
export function approximated(dense: Matrix, rank: number, expected: number): Product {
  const smaller = Math.min(dense.rows, dense.columns);
  const width = Math.max(rank, expected) + MARGIN;
  if (smaller > SMALL && width < smaller / 2) {
    for (let iterations = 3; iterations <= 24; iterations *= 2) {
      const found = randomSvd(dense, { rank, iterations, width, random: new Random(0) });
      if (residual(dense, found) <= TOLERANCE * found.S[0]!) return product(found, rank);
    }
  }
  return product(svd(dense), rank);
}

/** The largest ‖M·v − σ·u‖. */
function residual(dense: Matrix, { U, S, V }: SingularValues): number {
  const image = matmul(dense, V);
  const sums = new Float64Array(S.length);
  for (let i = 0; i < image.rows; i++) {
    for (let k = 0; k < S.length; k++) {
      const rest = image.data[i * S.length + k]! - S[k]! * U.data[i * S.length + k]!;
      sums[k]! += rest * rest;
    }
  }
  return Math.sqrt(Math.max(...sums));
}

function product({ U, S, V }: SingularValues, rank: number): Product {
  const count = Math.min(rank, S.length);
  return {
    B: scaleColumns(sliceColumns(U, 0, count), S.subarray(0, count)),
    A: transpose(sliceColumns(V, 0, count)),
  };
}

/** ⟨B₁·A₁, B₂·A₂⟩, the sum over all entries, from the factors alone. */
export function innerProduct(first: Product, second: Product): number {
  const left = matmul(first.B, second.B, { transposeA: true });
  const right = matmul(first.A, second.A, { transposeB: true });
  return left.data.reduce((sum, value, i) => sum + value * right.data[i]!, 0);
}
