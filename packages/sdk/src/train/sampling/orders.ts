/** @file Orders of an epoch: weighted, or grouped by length. */

import { OnnxLoraError } from '../../errors.ts';
import type { Random } from '../../runtime/random.ts';

/**
 * A random order with as many indices as weights: of n examples, one of weight w occurs n · w / Σw times, randomly
 * rounded up or down. Examples of equal weight jointly occur that often, so that classes are balanced.
 * @see Kitagawa, "Monte Carlo filter and smoother for non-Gaussian nonlinear state space models" (1996): systematic
 *   resampling
 */
export function weightedOrder(random: Random, weights: readonly number[]): number[] {
  const length = weights.length;
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  // Shuffled among equals, so that each may be rounded up.
  const order = random.permutation(length).sort((a, b) => weights[a]! - weights[b]!);
  const offset = random.next();
  const drawn: number[] = [];
  let reached = 0;
  for (const index of order) {
    reached += (length * weights[index]!) / total;
    while (drawn.length < length && drawn.length + offset < reached) drawn.push(index);
  }
  // Rounding errors may leave the sum short of the length.
  while (drawn.length < length) drawn.push(order.at(-1)!);
  return random.permutation(length).map((at) => drawn[at]!);
}

/** Validates weights: one per example, none below 0, and one above. @throws OnnxLoraError `CONFIG_INVALID` */
export function checkedWeights(weights: readonly number[], length: number, name: string): readonly number[] {
  if (weights.length !== length) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `${name} has ${weights.length} weights, but there are ${length} examples to train on. Give one for each.`,
    );
  }
  const wrong = weights.findIndex((weight) => !(weight >= 0 && weight < Infinity));
  if (wrong >= 0 || !weights.some((weight) => weight > 0)) {
    const problem = wrong >= 0 ? `the weight ${weights[wrong]} for example ${wrong}` : 'no weight above 0';
    throw new OnnxLoraError('CONFIG_INVALID', `${name} has ${problem}. Weights are numbers of at least 0, not all 0.`);
  }
  return weights;
}

/** Maximum number of batches sorted together. */
const MOST_BATCHES = 50;
/** Minimum number of sorted chunks per epoch, if it has as many batches: otherwise every epoch would be alike. */
const FEWEST_PIECES = 4;

/**
 * A random permutation in chunks of up to 50 batches, sorted by falling length, so that batches have similar lengths.
 * The longest example comes first, to detect a lack of memory at once.
 * @see transformers' `LengthGroupedSampler` (`get_length_grouped_indices` in trainer_pt_utils.py)
 */
export function lengthOrder(random: Random, lengths: readonly number[], batchSize: number): number[] {
  const batches = Math.min(Math.floor(lengths.length / (batchSize * FEWEST_PIECES)), MOST_BATCHES);
  const size = Math.max(1, batches) * batchSize;
  const order = random.permutation(lengths.length);
  for (let start = 0; start < order.length; start += size) {
    const piece = order.slice(start, start + size).sort((a, b) => lengths[b]! - lengths[a]!);
    piece.forEach((index, i) => (order[start + i] = index));
  }
  let longest = 0;
  for (let start = size; start < order.length; start += size)
    if (lengths[order[start]!]! > lengths[order[longest]!]!) longest = start;
  [order[0], order[longest]] = [order[longest]!, order[0]!];
  return order;
}
