/** @file The parts of a batch whose rows are compared with each other, and what their graphs are fed. */

import { type Feeds, float32, int64, sizeOf, type Tensor } from '../../runtime/tensor.ts';
import { type BatchPart, ORDER, OTHERS, targetsOfParts } from '../graph/comparingLoss.ts';
import { cut } from './microBatch.ts';

/** A batch in parts. */
export interface Parts {
  /** The first has the most to compute. */
  readonly parts: readonly BatchPart[];
  readonly targets: Feeds;
  /** Rows of the batch. */
  readonly total: number;
}

/** How many numbers feeds have. */
export function numbersOf(feeds: Feeds): number {
  return Object.values(feeds).reduce((sum, { dims }) => sum + sizeOf(dims), 0);
}

/** The parts, that with the most to compute first. */
export function byWork(parts: readonly BatchPart[]): BatchPart[] {
  return [...parts].sort((a, b) => numbersOf(b.inputs) - numbersOf(a.inputs));
}

/** Parts of so many rows in the order of the batch. */
export function inOrder(inputs: Feeds, targets: Feeds, rows: number, total: number): BatchPart[] {
  return cut(inputs, targets, rows, total).map((piece, i) => ({
    ...piece,
    places: Array.from({ length: rows }, (_, row) => i * rows + row),
  }));
}

/** The targets of a graph with a branch for each part. */
export function ofBranches({ parts, targets, total }: Parts): Feeds {
  return { ...targetsOfParts(parts, targets), [ORDER]: orderOf(parts, total) };
}

/** The targets of part `at`: its own, the batch's, and what is compared of the other parts. */
export function besideOthers(
  { parts, targets, total }: Parts,
  features: readonly (Tensor | undefined)[],
  at: number,
): Feeds {
  const others = parts.map((_, i) => i).filter((i) => i !== at);
  const rows = others.map((i) => features[i]!);
  const dims = [rows.reduce((sum, { dims }) => sum + dims[0]!, 0), ...rows[0]!.dims.slice(1)];
  const data = new Float32Array(sizeOf(dims));
  let filled = 0;
  for (const { data: own } of rows) {
    data.set(own as Float32Array, filled);
    filled += own.length;
  }
  return {
    ...targetsOfParts([parts[at]!], targets),
    [OTHERS]: float32(data, dims),
    [ORDER]: orderOf([at, ...others].map((i) => parts[i]!), total), // prettier-ignore
  };
}

/** For each row of a batch its place among the rows of the parts. */
function orderOf(parts: readonly BatchPart[], total: number): Tensor {
  const order = new Array<number>(total);
  parts.flatMap(({ places }) => places).forEach((place, i) => (order[place] = i));
  return int64(order, [total]);
}
