/** @file The order in which examples are seen. */

import type { Random } from '../runtime/random.ts';

/**
 * Indices for batch after batch without end: every epoch a new random order, in which each example comes once. A batch
 * that an epoch does not fill is filled from the next, so that all batches have one size.
 */
export function* shuffledBatches(length: number, batchSize: number, random: Random): Generator<number[]> {
  let order: number[] = [];
  while (true) {
    while (order.length < batchSize) order = [...order, ...random.permutation(length)];
    yield order.slice(0, batchSize);
    order = order.slice(batchSize);
  }
}
