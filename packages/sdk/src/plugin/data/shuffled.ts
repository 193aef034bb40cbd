/** @file A seeded order. */

import { Random } from '../../runtime/random.ts';

/** The items in a random order that depends on the seed alone. */
export function shuffled<T>(items: readonly T[], seed: number): T[] {
  return new Random(seed).permutation(items.length).map((i) => items[i]!);
}
