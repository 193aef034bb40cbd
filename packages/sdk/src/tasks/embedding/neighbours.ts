/** @file Nearest-neighbour search among embeddings. */

import { type Matrix, matmul, sliceRows } from '../../linalg/matrix.ts';
import { evenlySpaced } from '../batches.ts';
import { takeRows } from './rows.ts';

/** Queries per block, so that not all distances are in memory at once. */
const BLOCK = 256;
/** Up to this many neighbours, insertion; for more, a full sort. */
const FEW = 256;

/** Vectors to search. */
export interface Gallery {
  /** `[examples, features]` */
  readonly features: Matrix;
  /** Whether rows have length 1; then the nearest have the largest cosine. */
  readonly isUnit?: boolean;
}

/** Neighbours of a query, nearest first; of equally near ones, the first of the gallery first. */
export interface Nearest {
  /** Their rows in the gallery. */
  readonly rows: Int32Array;
  /** Dot products with the query: cosines if all vectors have length 1. */
  readonly products: Float64Array;
}

/**
 * Finds the nearest neighbours of each query by Euclidean distance.
 * @param k number of neighbours, at most all of the gallery
 * @param use called with the neighbours of each query, in order
 * @param own row of each query in the gallery, to be excluded
 */
export function forEachNeighbours(
  { features, isUnit = false }: Gallery,
  queries: Matrix,
  k: number | ((query: number) => number),
  use: (near: Nearest, query: number) => void,
  own?: readonly number[],
): void {
  const lengths = isUnit ? undefined : squares(features);
  for (let from = 0; from < queries.rows; from += BLOCK) {
    const part = sliceRows(queries, from, Math.min(from + BLOCK, queries.rows));
    // |q − x|² less |q|², which is the same for all x.
    const all = matmul(part, features, { transposeB: true }).data;
    for (let i = 0; i < part.rows; i++) {
      const products = all.subarray(i * features.rows, (i + 1) * features.rows);
      const distance = (x: number): number => (lengths ? lengths[x]! : 0) - 2 * products[x]!;
      const count = typeof k === 'number' ? k : k(from + i);
      const rows = nearest(features.rows, distance, count, own?.[from + i]);
      use({ rows, products: Float64Array.from(rows, (row) => products[row]!) }, from + i);
    }
  }
}

/** How to choose the number of neighbours. */
export interface NeighbourTrials {
  /** Candidates in ascending order. */
  readonly candidates: readonly number[];
  /** Largest number of examples to try; of a larger gallery, evenly spaced ones. */
  readonly most: number;
  /** Error of the answer that the neighbours give for an example of the gallery. */
  readonly errorOf: (near: Nearest, example: number) => number;
}

/** The number of neighbours with the least leave-one-out error on the gallery. */
export function bestNeighbourCount(gallery: Gallery, { candidates, most, errorOf }: NeighbourTrials): number {
  const { features } = gallery;
  const counts = candidates.filter((k) => k < features.rows);
  if (counts.length === 0) return 1;
  const chosen = evenlySpaced(features.rows, most);
  const errors = counts.map(() => 0);
  const use = ({ rows, products }: Nearest, query: number): void =>
    counts.forEach((k, i) => {
      errors[i]! += errorOf({ rows: rows.subarray(0, k), products: products.subarray(0, k) }, chosen[query]!);
    });
  forEachNeighbours(gallery, takeRows(features, chosen), counts.at(-1)!, use, chosen);
  return counts[errors.indexOf(Math.min(...errors))]!;
}

function nearest(count: number, distance: (x: number) => number, k: number, own: number | undefined): Int32Array {
  if (k > FEW) {
    const distances = Float64Array.from({ length: count }, (_, x) => distance(x));
    const others = Int32Array.from({ length: count }, (_, x) => x).filter((x) => x !== own);
    return others.sort((a, b) => distances[a]! - distances[b]! || a - b).subarray(0, k);
  }
  const order = new Int32Array(k);
  const distances = new Float64Array(k).fill(Infinity);
  let found = 0;
  for (let x = 0; x < count; x++) {
    const value = distance(x);
    if (x === own || (found === k && !(value < distances[k - 1]!))) continue;
    let at = found < k ? found++ : k - 1;
    for (; at > 0 && distances[at - 1]! > value; at--) {
      distances[at] = distances[at - 1]!;
      order[at] = order[at - 1]!;
    }
    distances[at] = value;
    order[at] = x;
  }
  return order.subarray(0, found);
}

function squares({ rows, columns, data }: Matrix): Float64Array {
  const result = new Float64Array(rows);
  for (let i = 0; i < data.length; i++) result[Math.floor(i / columns)]! += data[i]! ** 2;
  return result;
}
