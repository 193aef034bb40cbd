/** @file What lies nearest among embeddings: for scores of retrieval, and for answers by nearest neighbours. */

import { type Matrix, matmul, sliceRows } from '../../linalg/matrix.ts';
import { evenlySpaced } from '../batches.ts';
import { takeRows } from './rows.ts';

/** Queries at a time, so that distances of all to all need not be in memory. */
const BLOCK = 256;
/** Up to so many neighbours are put into their places one by one; for more, all are sorted. */
const FEW = 256;

/** What is searched. */
export interface Gallery {
  /** `[examples, features]` */
  readonly features: Matrix;
  /** Rows of length 1, which are nearest where the cosine is largest. */
  readonly isUnit?: boolean;
}

/** What is nearest to a query, nearest first, of equally near ones the first of the gallery. */
export interface Nearest {
  /** Rows of the gallery. */
  readonly rows: Int32Array;
  /** Products of the query with them: cosines, where all have length 1. */
  readonly products: Float64Array;
}

/**
 * Finds the nearest of each query by Euclid's distance.
 *
 * @param k how many; less where the gallery has less
 * @param use called with what was found for each query, in their order
 * @param own which row of the gallery each query is, to be left out
 */
export function forNearest(
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

/** How the number of neighbours is chosen. */
export interface NeighbourTrials {
  /** Numbers that are tried, the smallest first. */
  readonly candidates: readonly number[];
  /** Examples of the gallery that are answered by the others; of more, as many evenly evenlySpaced ones. */
  readonly most: number;
  /** How wrong the answer is that the nearest give for an example of the gallery. */
  readonly errorOf: (near: Nearest, example: number) => number;
}

/** The number of neighbours with the least error when examples of the gallery are answered by the others, each left out in turn. */
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
  forNearest(gallery, takeRows(features, chosen), counts.at(-1)!, use, chosen);
  return counts[errors.indexOf(Math.min(...errors))]!;
}

/** The `k` of least distance, nearest first, without `own`. */
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
