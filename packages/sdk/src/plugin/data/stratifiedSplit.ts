/** @file Splits examples at random so that every class is on both sides in its share. */

import { Random } from '../../runtime/random.ts';

/**
 * Splits the indices of `classes` (a class per example): of each class, `fraction` goes to `held`, rounded, and at
 * least one example stays on either side where the class has two. Both lists are in ascending order. The same seed
 * gives the same split.
 */
export function stratifiedSplit(
  classes: readonly string[],
  fraction: number,
  seed: number,
): { kept: number[]; held: number[] } {
  const byClass = new Map<string, number[]>();
  classes.forEach((name, index) => {
    const members = byClass.get(name);
    if (members) members.push(index);
    else byClass.set(name, [index]);
  });
  const random = new Random(seed);
  const held: number[] = [];
  const kept: number[] = [];
  for (const members of byClass.values()) {
    const count = Math.min(members.length - 1, Math.max(1, Math.round(members.length * fraction)));
    // The front of a Fisher-Yates shuffle.
    for (let i = 0; i < count; i++) {
      const j = i + random.index(members.length - i);
      [members[i], members[j]] = [members[j]!, members[i]!];
    }
    for (const each of members.slice(0, count)) held.push(each);
    for (const each of members.slice(count)) kept.push(each);
  }
  return { kept: kept.sort((a, b) => a - b), held: held.sort((a, b) => a - b) };
}
