/** @file The plane in which embeddings differ most. */

import { leadingSvd } from '../../../linalg/leadingSvd.ts';
import { type Matrix, matmul, matrix } from '../../../linalg/matrix.ts';
import { Random } from '../../../runtime/random.ts';

/** A plane, and how much of all variance lies in it. */
export interface Projection {
  /** A point per row: `[x, y]`. */
  readonly points: readonly (readonly [x: number, y: number])[];
  /** The part of the variance that each axis shows. */
  readonly explained: readonly [x: number, y: number];
}

/**
 * Principal components of rows: the two directions of most variance. Each direction is turned so that its largest number
 * is positive, so that the same embeddings always give the same picture.
 */
export function project(rows: Matrix): Projection {
  const centred = withoutMean(rows);
  const { S, V } = leadingSvd(centred, 2, new Random(0));
  const axes = matrix(rows.columns, 2);
  for (let c = 0; c < Math.min(2, V.columns); c++) {
    let top = 0;
    for (let i = 0; i < V.rows; i++) {
      const value = V.data[i * V.columns + c]!;
      if (Math.abs(value) > Math.abs(top)) top = value;
    }
    for (let i = 0; i < V.rows; i++) axes.data[2 * i + c] = Math.sign(top) * V.data[i * V.columns + c]!;
  }
  const { data } = matmul(centred, axes);
  const total = centred.data.reduce((sum, value) => sum + value * value, 0) || 1;
  const share = (at: number): number => (S[at] ?? 0) ** 2 / total;
  return {
    points: Array.from({ length: rows.rows }, (_, i) => [data[2 * i]!, data[2 * i + 1]!] as const),
    explained: [share(0), share(1)],
  };
}

function withoutMean({ rows, columns, data }: Matrix): Matrix {
  const mean = new Float64Array(columns);
  data.forEach((value, at) => (mean[at % columns]! += value / rows));
  return matrix(
    rows,
    columns,
    data.map((value, at) => value - mean[at % columns]!),
  );
}
