/** @file Splits examples that have any number of labels, so that every label is on both sides in its share. */

import { shuffled } from './shuffled.ts';

/**
 * Splits the indices of `labels` (the labels of each example): about `fraction` goes to `held`. Labels are dealt out in turn, the
 * rarest first, each example to the side that lacks its label most. Both lists are in ascending order, and the same seed gives the
 * same split.
 *
 * @see Sechidis, Tsoumakas and Vlahavas, "On the stratification of multi-label data" (2011): iterative stratification
 */
export function labelSetSplit(
  labels: readonly (readonly string[])[],
  fraction: number,
  seed: number,
): { kept: number[]; held: number[] } {
  // Ties are broken by the place in a random order, which is the order that everything is gone through in.
  const waiting = new Set(shuffled([...labels.keys()], seed));
  const byLabel = new Map<string, Set<number>>();
  for (const index of waiting) {
    for (const label of new Set(labels[index])) {
      const members = byLabel.get(label);
      if (members) members.add(index);
      else byLabel.set(label, new Set([index]));
    }
  }
  const sides = [fraction, 1 - fraction].map((share) => ({
    members: [] as number[],
    /** How many examples it still wants, of each label and in all. */
    wanted: new Map([...byLabel].map(([label, { size }]) => [label, size * share])),
    room: labels.length * share,
  }));
  const [held, kept] = sides as [(typeof sides)[0], (typeof sides)[0]];
  const deal = (index: number, lack: (side: (typeof sides)[0]) => number): void => {
    const more = lack(held) - lack(kept) || held.room - kept.room;
    const side = more > 0 ? held : kept;
    side.members.push(index);
    side.room--;
    for (const label of new Set(labels[index])) {
      side.wanted.set(label, side.wanted.get(label)! - 1);
      const members = byLabel.get(label)!;
      members.delete(index);
      if (members.size === 0) byLabel.delete(label);
    }
    waiting.delete(index);
  };
  while (byLabel.size > 0) {
    const [label, members] = [...byLabel].reduce((rarest, each) => (each[1].size < rarest[1].size ? each : rarest));
    for (const index of members) deal(index, ({ wanted }) => wanted.get(label)!);
  }
  for (const index of waiting) deal(index, ({ room }) => room);
  const ascending = (a: number, b: number): number => a - b;
  return { kept: kept.members.sort(ascending), held: held.members.sort(ascending) };
}
