/** @file Randomized SVD: the leading components by random projection. */

import type { Random } from '../runtime/random.ts';
import { type SingularValues, svd } from './decompositions.ts';
import { type Matrix, matmul, matrix, sliceColumns } from './matrix.ts';
import { qr } from './qr.ts';

/** Options of {@link randomSvd}. */
export interface RandomSvdOptions {
  /** Number of components. */
  readonly rank: number;
  /** Iterations of subspace iteration; more are more accurate. */
  readonly iterations: number;
  /** Columns of the projection, at least `rank`; `rank` by default, as in torch's `svd_lowrank`. */
  readonly width?: number;
  readonly random: Random;
}

/**
 * Approximates the first `rank` components of the SVD. The error falls as the power 2 · `iterations` of the ratio
 * between the first omitted singular value and the last included one.
 * @see https://arxiv.org/abs/0909.4061 algorithm 5.1 after 4.4, as torch's `svd_lowrank`
 * @throws RangeError for values that are not finite
 */
export function randomSvd(a: Matrix, { rank, iterations, width = rank, random }: RandomSvdOptions): SingularValues {
  const q = Math.min(width, a.rows, a.columns);
  const projection = matrix(a.columns, q);
  for (let i = 0; i < projection.data.length; i++) projection.data[i] = random.normal();
  let { Q } = qr(matmul(a, projection));
  for (let i = 0; i < iterations; i++) {
    const right = qr(matmul(a, Q, { transposeA: true })).Q;
    Q = qr(matmul(a, right)).Q;
  }
  const { U, S, V } = svd(matmul(Q, a, { transposeA: true }));
  const count = Math.min(rank, S.length);
  return {
    U: sliceColumns(matmul(Q, U), 0, count),
    S: S.slice(0, count),
    V: sliceColumns(V, 0, count),
  };
}
