/** @file Parts of a batch whose rows are compared, and the feeds of their graphs. */

import { type Feeds, float32, int64, sizeOf, type Tensor } from '../../runtime/tensor.ts';
import { type BatchPart, ORDER, OTHERS, targetsOfParts } from '../graph/comparingLoss.ts';
import { cut } from './microBatch.ts';

/** A batch split into runs of a graph. */
export interface BatchRuns {
  /** The parts of each run, equally many; the first has the most to compute. */
  readonly runs: readonly (readonly BatchPart[])[];
  readonly targets: Feeds;
  /** Rows of the batch. */
  readonly total: number;
}

/** Number of elements in all feeds. */
export function numbersOf(feeds: Feeds): number {
  return Object.values(feeds).reduce((sum, { dims }) => sum + sizeOf(dims), 0);
}

/** The parts sorted by work, the largest first. */
export function sortedByWork(parts: readonly BatchPart[]): BatchPart[] {
  return [...parts].sort((a, b) => numbersOf(b.inputs) - numbersOf(a.inputs));
}

/** Parts of `rows` rows in the batch's order. */
export function inBatchOrder(inputs: Feeds, targets: Feeds, rows: number, total: number): BatchPart[] {
  return cut(inputs, targets, rows, total).map((piece, i) => ({
    ...piece,
    places: Array.from({ length: rows }, (_, row) => i * rows + row),
  }));
}

/** The parts grouped into runs of `branches`, which divides their number. */
export function groupedInRuns(parts: readonly BatchPart[], branches: number): BatchPart[][] {
  return Array.from({ length: parts.length / branches }, (_, i) => parts.slice(i * branches, (i + 1) * branches));
}

/** The targets of run `at`: its parts', the batch's, and the features of the other runs. */
export function targetsOfRun(
  { runs, targets, total }: BatchRuns,
  features: readonly (Tensor | undefined)[],
  at: number,
): Feeds {
  const own = targetsOfParts(runs[at]!, targets);
  const others = runs.map((_, i) => i).filter((i) => i !== at);
  const order = orderOf([at, ...others].flatMap((i) => runs[i]!), total); // prettier-ignore
  if (others.length === 0) return { ...own, [ORDER]: order };
  const rows = others.map((i) => features[i]!);
  const dims = [rows.reduce((sum, { dims }) => sum + dims[0]!, 0), ...rows[0]!.dims.slice(1)];
  const data = new Float32Array(sizeOf(dims));
  let filled = 0;
  for (const { data: each } of rows) {
    data.set(each as Float32Array, filled);
    filled += each.length;
  }
  return { ...own, [OTHERS]: float32(data, dims), [ORDER]: order };
}

/** Each batch row's place among the rows of the parts. */
function orderOf(parts: readonly BatchPart[], total: number): Tensor {
  const order = new Array<number>(total);
  parts.flatMap(({ places }) => places).forEach((place, i) => (order[place] = i));
  return int64(order, [total]);
}
