/** @file The classes of images by those of the training images that are most like them. */

import { bestNeighbourCount as bestCount, forNearest, type Nearest } from '@onnx-lora/sdk/tasks';
import { type Matrix } from '@onnx-lora/sdk/plugin';

/** Numbers of neighbours that are tried; DINO tries 10, 20, 100 and 200. */
const candidates = [1, 2, 5, 10, 20, 50, 100, 200];
/** What cosines are divided by before their exponentials are the neighbours' weights: DINO's. */
const temperature = 0.07;
/** Training images that are classified by the others to choose the number of neighbours. */
const most = 2000;

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
export function nearestClasses({ features, labels }: LabelledRows, queries: Matrix, k: number): number[] {
  const found: number[] = [];
  forNearest({ features, isUnit: true }, queries, k, (near) => found.push(vote(near, labels)));
  return found;
}

/** The number of neighbours with which the training images are classified best by each other, each left out in turn. */
export function bestNeighbourCount({ features, labels }: LabelledRows): number {
  const errorOf = (near: Nearest, image: number): number => Number(vote(near, labels) !== labels[image]);
  return bestCount({ features, isUnit: true }, { candidates, most, errorOf });
}

/** The class with the largest sum of weights; of equal ones that of the nearer image. */
function vote({ rows, products }: Nearest, labels: readonly number[]): number {
  const weights = new Map<number, number>();
  for (const [i, row] of rows.entries()) {
    const label = labels[row]!;
    weights.set(label, (weights.get(label) ?? 0) + Math.exp(products[i]! / temperature));
  }
  return [...weights].reduce((best, each) => (each[1] > best[1] ? each : best))[0];
}
