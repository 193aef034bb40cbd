/** @file An epoch's order in which examples of about one length come together. */

import type { Random } from '../../runtime/random.ts';

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
