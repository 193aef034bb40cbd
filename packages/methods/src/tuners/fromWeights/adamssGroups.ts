/** @file AdaMSS's decomposition of a weight: singular vectors, groups of outputs, directions per group. */

import {
  type Matrix,
  matmul,
  matrix,
  qr,
  sliceColumns,
  svd,
  TorchRandom,
  transpose,
  type TargetLayer,
} from '@onnx-lora/sdk/plugin';
import { clusters } from './clusters.ts';

export interface AdamssSettings {
  readonly r: number;
  readonly num_subspaces: number;
  readonly subspace_rank: number;
  readonly init_weights: 'orthogonal' | null;
  readonly use_dynamic_rank: boolean;
  readonly svd_threshold: number;
  readonly random_seed: number;
}

interface Vectors {
  /** `[out, r]` */
  readonly U: Matrix;
  /** `[in, r]`, with a row for the bias. */
  readonly V: Matrix;
}

const known = new WeakMap<TargetLayer, Map<string, Vectors>>();

/** Leading singular vectors of the weight with its bias as a last column, seeded as torch's `svd_lowrank`. */
export function vectorsOf(layer: TargetLayer, { r, random_seed: seed }: AdamssSettings): Vectors {
  const before = known.get(layer)?.get(`${r} ${seed}`);
  if (before) return before;
  const [weight, bias] = [layer.weight(), layer.ownBias()];
  const width = layer.in + (bias ? 1 : 0);
  const whole = matrix(layer.out, width, Float64Array.from({ length: layer.out * width }, (_, i) => {
    const [row, column] = [Math.floor(i / width), i % width];
    return column < layer.in ? weight[row * layer.in + column]! : bias![row]!;
  })); // prettier-ignore
  const isWide = whole.rows < whole.columns;
  const tall = isWide ? transpose(whole) : whole;
  const rank = Math.min(r, tall.columns);
  // All vectors span the same space, whatever the seed.
  const count = tall.columns * rank;
  const start = count < 16 ? identity(tall.columns) : matrix(tall.columns, rank, new TorchRandom(seed).normal(count));
  let { Q } = qr(matmul(tall, start));
  for (let i = 0; i < 2; i++) Q = qr(matmul(tall, qr(matmul(tall, Q, { transposeA: true })).Q)).Q;
  const { U: inner, V: right } = svd(matmul(Q, tall, { transposeA: true }));
  const [U, V] = [sliceColumns(matmul(Q, inner), 0, rank), sliceColumns(right, 0, rank)];
  const found = isWide ? { U: V, V: U } : { U, V };
  known.set(layer, new Map(known.get(layer)).set(`${r} ${seed}`, found));
  return found;
}

function identity(size: number): Matrix {
  return matrix(
    size,
    size,
    Float64Array.from({ length: size * size }, (_, i) => Number(i % (size + 1) === 0)),
  );
}

/** The outputs of each group. */
export function groupsOf(layer: TargetLayer, settings: AdamssSettings): number[][] {
  const { U } = vectorsOf(layer, settings);
  const labels = clusters(U, Math.min(settings.num_subspaces, U.rows));
  return Array.from({ length: Math.max(...labels) + 1 }, (_, group) => Array.from(labels.keys()).filter((row) => labels[row] === group)); // prettier-ignore
}

function rowsOf({ U }: Vectors, rows: readonly number[]): Matrix {
  return matrix(rows.length, U.columns, rows.flatMap((row) => Array.from(U.data.subarray(row * U.columns, (row + 1) * U.columns)))); // prettier-ignore
}

/** A group's rank: the requested one, or fewer by the threshold. */
export function rankOf(layer: TargetLayer, rows: readonly number[], settings: AdamssSettings): number {
  const { subspace_rank: asked, use_dynamic_rank: isDynamic, svd_threshold: threshold } = settings;
  if (!isDynamic) return Math.max(1, Math.min(rows.length, asked));
  // SVD of the products of rows; its singular values are the squares.
  const { S } = svd(rowsOf(vectorsOf(layer, settings), rows));
  const squares = S.map((each) => each * each);
  return Math.max(1, Math.min(squares.filter((each) => each > threshold * squares[0]!).length, asked));
}

/** Leading directions of a group's rows, `[rank, r]`. */
export function directionsOf(
  layer: TargetLayer,
  rows: readonly number[],
  settings: AdamssSettings,
  rank: number,
): Float32Array {
  const { V } = svd(rowsOf(vectorsOf(layer, settings), rows));
  return Float32Array.from(transpose(sliceColumns(V, 0, rank)).data);
}
