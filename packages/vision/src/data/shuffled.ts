/** @file A seeded order. */

import { xorshift32 } from './xorshift32.ts';

/** The items in a random order that depends on the seed alone (Fisher–Yates). */
export function shuffled<T>(items: readonly T[], seed: number): T[] {
  const order = [...items];
  const random = xorshift32(seed);
  for (let i = order.length - 1; i > 0; i--) {
    const j = random() % (i + 1);
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order;
}
