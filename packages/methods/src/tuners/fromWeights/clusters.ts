/** @file k-means as scikit-learn computes it from one random start, since files do not store the clusters. */

import { type Matrix, TorchRandom } from '@onnx-lora/sdk/plugin';

/** Iterations, and the tolerance relative to the rows' variance. */
const [STEPS, TOLERANCE] = [10, 1e-4];

/** PEFT's seed for scikit-learn. */
const SEED = 123456789;

/**
 * The cluster of each of at least `count` rows:
 * `KMeans(count, init='random', n_init=1, max_iter=10, random_state=123456789).fit_predict(rows)`.
 */
export function clusters({ rows, columns, data }: Matrix, count: number): number[] {
  const x = (row: number): Float64Array => data.subarray(row * columns, (row + 1) * columns);
  const mean = new Float64Array(columns);
  for (let row = 0; row < rows; row++) for (let i = 0; i < columns; i++) mean[i]! += x(row)[i]! / rows;
  let variance = 0;
  for (let row = 0; row < rows; row++) variance += distance(x(row), mean) / (rows * columns);
  let centres: Float64Array[] = chosen(rows, count).map((row) => x(row).slice());
  const nearest = (): number[] => Array.from({ length: rows }, (_, row) => nearestOf(x(row), centres));
  let labels: number[] = [];
  for (let step = 0; step < STEPS; step++) {
    const found = nearest();
    const next = centresOf(found, count, x, columns, centres);
    const moved = next.reduce((sum, each, i) => sum + distance(each, centres[i]!), 0);
    centres = next;
    if (found.every((each, row) => each === labels[row])) return found;
    labels = found;
    if (moved <= TOLERANCE * variance) break;
  }
  return nearest();
}

function distance(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i]! - b[i]!) ** 2;
  return sum;
}

function nearestOf(row: Float64Array, centres: readonly Float64Array[]): number {
  const distances = centres.map((centre) => distance(row, centre));
  return distances.indexOf(Math.min(...distances));
}

/** Cluster means. An empty cluster gets the row furthest from its own centre. */
function centresOf(
  labels: number[],
  count: number,
  x: (row: number) => Float64Array,
  columns: number,
  before: readonly Float64Array[],
): Float64Array[] {
  const sizes = Array.from({ length: count }, (_, cluster) => labels.filter((each) => each === cluster).length);
  const sums = Array.from({ length: count }, () => new Float64Array(columns));
  for (const [row, label] of labels.entries()) for (let i = 0; i < columns; i++) sums[label]![i]! += x(row)[i]!;
  const empty = sizes.flatMap((size, cluster) => (size === 0 ? [cluster] : []));
  const far = Array.from(labels.keys()).sort((a, b) => distance(x(b), before[labels[b]!]!) - distance(x(a), before[labels[a]!]!)); // prettier-ignore
  for (const [i, cluster] of empty.entries()) {
    const row = far[i]!;
    const label = labels[row]!;
    for (let k = 0; k < columns; k++) sums[label]![k]! -= x(row)[k]!;
    sums[cluster]!.set(x(row));
    [sizes[label], sizes[cluster]] = [sizes[label]! - 1, 1];
  }
  return sums.map((sum, cluster) => (sizes[cluster]! > 0 ? sum.map((each) => each / sizes[cluster]!) : sum));
}

/** Distinct rows, drawn as numpy's `RandomState.choice` without replacement. */
function chosen(rows: number, count: number): number[] {
  const random = new TorchRandom(SEED);
  const unit = (): number => ((random.bits() >>> 5) * 2 ** 26 + (random.bits() >>> 6)) / 2 ** 53;
  const found: number[] = [];
  while (found.length < count) {
    const left = Array.from({ length: rows }, (_, row) => Number(!found.includes(row)));
    const total = rows - found.length;
    const drawn = Array.from({ length: count - found.length }, unit).map((at) => {
      let sum = 0;
      return left.findIndex((each) => (sum += each / total) > at);
    });
    found.push(...new Set(drawn));
  }
  return found;
}
