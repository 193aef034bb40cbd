/** @file Splits examples by group, such as patients: no group is divided, and the labels come out as evenly as that allows. */

import { shuffled } from './shuffled.ts';

/** What is known of an example when it is split by group. */
export interface GroupedExample {
  readonly group: string;
  readonly labels: readonly string[];
}

/**
 * Splits the indices of `examples`: about `fraction` of them and of each label goes to `held`. Groups change sides, in random
 * order, for as long as that brings the numbers nearer to their shares. Both sides get a group at least. Both lists are in
 * ascending order, and the same seed gives the same split.
 *
 * @returns undefined when there are fewer than two groups
 */
export function groupSplit(
  examples: readonly GroupedExample[],
  fraction: number,
  seed: number,
): { kept: number[]; held: number[] } | undefined {
  const groups = new Map<string, Group>();
  // The empty name stands for all examples, whatever their labels.
  const wanted = new Map<string, Count>();
  for (const { group, labels } of examples) {
    const counts = groups.get(group)?.counts ?? new Map<string, number>();
    groups.set(group, { name: group, counts });
    for (const label of new Set(['', ...labels])) {
      counts.set(label, (counts.get(label) ?? 0) + 1);
      const total = (wanted.get(label)?.total ?? 0) + 1;
      wanted.set(label, { total, held: 0 });
    }
  }
  if (groups.size < 2) return undefined;
  const held = new Set<string>();
  const order = shuffled([...groups.values()], seed);
  for (let hasChanged = true; hasChanged;) {
    hasChanged = false;
    for (const group of order) {
      const sign = held.has(group.name) ? -1 : 1;
      const isLast = sign === 1 ? held.size === groups.size - 1 : held.size === 1;
      if (isLast || !(changeOf(group, sign, wanted, fraction) < -1e-9)) continue;
      move(group, sign, held, wanted);
      hasChanged = true;
    }
  }
  if (held.size === 0) {
    const cost = (group: Group): number => changeOf(group, 1, wanted, fraction);
    held.add(order.reduce((best, group) => (cost(group) < cost(best) ? group : best)).name);
  }
  const indices = [...examples.keys()];
  return {
    kept: indices.filter((i) => !held.has(examples[i]!.group)),
    held: indices.filter((i) => held.has(examples[i]!.group)),
  };
}

interface Group {
  readonly name: string;
  /** Examples by label, and all under the empty name. */
  readonly counts: Map<string, number>;
}

interface Count {
  readonly total: number;
  held: number;
}

/**
 * By how much the distance from the shares grows when a group changes sides: the sum over labels of
 * (held − fraction · total)² / total, as in a chi-square test.
 */
function changeOf({ counts }: Group, sign: number, wanted: ReadonlyMap<string, Count>, fraction: number): number {
  let change = 0;
  for (const [label, count] of counts) {
    const { total, held } = wanted.get(label)!;
    const off = held - fraction * total;
    change += ((off + sign * count) ** 2 - off ** 2) / total;
  }
  return change;
}

function move({ name, counts }: Group, sign: number, held: Set<string>, wanted: ReadonlyMap<string, Count>): void {
  if (sign === 1) held.add(name);
  else held.delete(name);
  for (const [label, count] of counts) wanted.get(label)!.held += sign * count;
}
