/** @file Orders of an epoch in which some examples come more often than others, or those of about one length together. */

import { OnnxLoraError } from '../../errors.ts';
import type { Random } from '../../runtime/random.ts';

/**
 * As many indices as there are weights, in random order: of n examples, the one of weight w comes n · w / Σw times, rounded up or
 * down at random. Examples of the same weight come together that often, so that classes come out even.
 *
 * @see Kitagawa, "Monte Carlo filter and smoother for non-Gaussian nonlinear state space models" (1996): systematic resampling
 */
export function weightedOrder(random: Random, weights: readonly number[]): number[] {
  const length = weights.length;
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  // In random order among equals, so that everybody's turn comes to be rounded up.
  const order = random.permutation(length).sort((a, b) => weights[a]! - weights[b]!);
  const offset = random.next();
  const drawn: number[] = [];
  let reached = 0;
  for (const index of order) {
    reached += (length * weights[index]!) / total;
    while (drawn.length < length && drawn.length + offset < reached) drawn.push(index);
  }
  // The sum may fall short of the length by a rounding error.
  while (drawn.length < length) drawn.push(order.at(-1)!);
  return random.permutation(length).map((at) => drawn[at]!);
}

/**
 * The weights, checked.
 *
 * @param name what they are called in the message
 * @throws OnnxLoraError `CONFIG_INVALID` unless there is one for each example, none below 0 and one above
 */
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

/** At most so many batches are sorted at a time. */
const MOST_BATCHES = 50;
/** An epoch is sorted in so many pieces at least, where it has as many batches: else every epoch would be alike. */
const FEWEST_PIECES = 4;

/**
 * Every index once, in random order but for this: pieces of up to 50 batches are sorted, the longest first, so that each batch is
 * of examples of about one length. The longest of all comes first, so that memory that does not suffice is told at once.
 *
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
