/** @file The largest singular values of a matrix by random projection, in a fraction of the time that all would take. */

import type { Random } from '../runtime/random.ts';
import { type SingularValues, svd } from './decompositions.ts';
import { type Matrix, matmul, matrix, sliceColumns } from './matrix.ts';
import { qr } from './qr.ts';

/** What {@link randomSvd} is to find. */
export interface RandomSvdOptions {
  /** How many components. */
  readonly rank: number;
  /** Passes of subspace iteration; each makes the result more exact. */
  readonly iterations: number;
  /** Columns of the projection, at least `rank`; `rank` by default, as torch's `svd_lowrank` has it. */
  readonly width?: number;
  readonly random: Random;
}

/**
 * About the first `rank` components of the singular value decomposition. The error falls with `iterations` as the power
 * 2 · iterations of the ratio between the first singular value left out and the last one taken.
 *
 * @see https://arxiv.org/abs/0909.4061 algorithm 5.1 after 4.4, which torch's `svd_lowrank` follows too
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
