/** @file The classes of images by those of the training images that are most like them. */

import { takeRows } from '@onnx-lora/sdk/tasks';
import { matrix, type Matrix } from '@onnx-lora/sdk/plugin';
import { matmul } from '@onnx-lora/sdk/core';

/** Numbers of neighbours that are tried; DINO tries 10, 20, 100 and 200. */
const candidates = [1, 2, 5, 10, 20, 50, 100, 200];
/** What cosines are divided by before their exponentials are the neighbours' weights: DINO's. */
const temperature = 0.07;
/** Queries at a time, so that similarities of all with all need not be in memory. */
const block = 256;
/** Training images that are classified by the others to choose the number of neighbours. */
const mostTrials = 2000;

/** Labelled features: `[examples, features]`, of length 1, and numbers of the classes. */
export interface LabelledRows {
  readonly features: Matrix;
  readonly labels: readonly number[];
}

/**
 * The class of each query: its `k` nearest training images by cosine vote, each with `exp(cosine ÷ 0.07)`.
 *
 * @see https://arxiv.org/abs/1805.01978, section 3.4, as DINO does it: https://arxiv.org/abs/2104.14294, section 4.1
 */
export function nearestClasses(train: LabelledRows, queries: Matrix, k: number): number[] {
  const found: number[] = [];
  forNearest(train.features, queries, k, undefined, (near) => found.push(vote(near, train.labels)));
  return found;
}

/**
 * The number of neighbours with which the training images are classified best by each other, each left out in turn (of
 * more than 2,000, as many evenly spread ones).
 */
export function bestNeighbourCount(train: LabelledRows): number {
  const { features, labels } = train;
  const counts = candidates.filter((k) => k < features.rows);
  if (counts.length === 0) return 1;
  const trials = Math.min(features.rows, mostTrials);
  const chosen = Array.from({ length: trials }, (_, i) => Math.floor((i * features.rows) / trials));
  const right = new Map(counts.map((k) => [k, 0]));
  let at = 0;
  forNearest(features, takeRows(features, chosen), counts.at(-1)!, chosen, (near) => {
    const truth = labels[chosen[at++]!];
    for (const k of counts) if (vote(near.slice(0, k), labels) === truth) right.set(k, right.get(k)! + 1);
  });
  return counts.reduce((best, k) => (right.get(k)! > right.get(best)! ? k : best));
}

interface Neighbour {
  readonly index: number;
  readonly cosine: number;
}

/** Calls `use` with the nearest of each query, nearest first. `own`: which training image each query is, to be left out. */
function forNearest(
  train: Matrix,
  queries: Matrix,
  k: number,
  own: readonly number[] | undefined,
  use: (near: readonly Neighbour[]) => void,
): void {
  for (let from = 0; from < queries.rows; from += block) {
    const to = Math.min(from + block, queries.rows);
    const part = matrix(to - from, queries.columns, queries.data.slice(from * queries.columns, to * queries.columns));
    const cosines = matmul(part, train, { transposeB: true });
    for (let i = 0; i < part.rows; i++) {
      const row = cosines.data.subarray(i * train.rows, (i + 1) * train.rows);
      const others = Array.from(row, (cosine, index) => ({ index, cosine }));
      if (own) others.splice(own[from + i]!, 1);
      // Equal ones in the order of the data, so that the answer does not depend on how it is sorted.
      use(others.sort((a, b) => b.cosine - a.cosine || a.index - b.index).slice(0, k));
    }
  }
}

/** The class with the largest sum of weights; of equal ones that of the nearer image. */
function vote(near: readonly Neighbour[], labels: readonly number[]): number {
  const weights = new Map<number, number>();
  for (const { index, cosine } of near) {
    const label = labels[index]!;
    weights.set(label, (weights.get(label) ?? 0) + Math.exp(cosine / temperature));
  }
  return [...weights].reduce((best, each) => (each[1] > best[1] ? each : best))[0];
}
