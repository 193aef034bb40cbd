/** @file Holds records out by a fraction: by group, by all their labels, or by class, as they have them. */

import { Random } from '../../runtime/random.ts';

/** The items in a random order that depends on the seed alone. */
export function shuffled<T>(items: readonly T[], seed: number): T[] {
  return new Random(seed).permutation(items.length).map((i) => items[i]!);
}

/** Records that stay, and those that are held out, each in the order they came in. */
export interface RecordSplit<Item> {
  /** What is trained on. */
  readonly kept: readonly Item[];
  /** What is measured on. */
  readonly held: readonly Item[];
}

/** What a split looks at in a record. */
export interface SplitFacts {
  /** What records are sorted by, so that the split does not depend on their order. */
  readonly key: string;
  /** Records of one group are never divided. */
  readonly group?: string | undefined;
  /** Records of one file are a group too, where they have no other. */
  readonly file?: string;
  /** The class. */
  readonly label?: string | undefined;
  /** All labels, where there may be none or many. */
  readonly labels?: readonly string[] | undefined;
}

/**
 * Holds out about `fraction` of the records: of every class or label its share, and groups whole. Records of one file are a group
 * too. The same seed gives the same split whatever the order of the records; nothing is held out where that cannot be done.
 */
export function splitRecords<Item>(
  records: readonly Item[],
  fraction: number,
  seed: number,
  factsOf: (record: Item) => SplitFacts,
): RecordSplit<Item> {
  const facts = records.map(factsOf);
  const keys = facts.map(({ key }) => key);
  const order = [...records.keys()].sort((a, b) => (keys[a]! < keys[b]! ? -1 : keys[a]! > keys[b]! ? 1 : a - b));
  const sorted = order.map((i) => facts[i]!);
  const held = new Set(heldOf(sorted, fraction, seed).map((at) => order[at]!));
  return { kept: records.filter((_, i) => !held.has(i)), held: records.filter((_, i) => held.has(i)) };
}

function heldOf(facts: readonly SplitFacts[], fraction: number, seed: number): number[] {
  const labelsOf = ({ label, labels }: SplitFacts): readonly string[] =>
    label === undefined ? (labels ?? []) : [label];
  const groups = facts.map(({ group, file, key }) => group ?? file ?? key);
  const hasGroups = facts.some(({ group }) => group !== undefined);
  if (hasGroups || new Set(groups).size < facts.length) {
    const examples = facts.map((each, i) => ({ group: groups[i]!, labels: labelsOf(each) }));
    return groupSplit(examples, fraction, seed);
  }
  if (facts.some(({ label, labels }) => label === undefined && labels !== undefined)) {
    const held = labelSetSplit(facts.map(labelsOf), fraction, seed);
    return held.length < facts.length ? held : [];
  }
  return stratifiedSplit(
    facts.map(({ label }) => label ?? ''),
    fraction,
    seed,
  );
}

/** The places of equal values, by these. */
export function placesByValue<Value>(values: Iterable<Value>): Map<Value, number[]> {
  const places = new Map<Value, number[]>();
  let at = 0;
  for (const value of values) {
    const own = places.get(value);
    if (own) own.push(at);
    else places.set(value, [at]);
    at++;
  }
  return places;
}

const ascending = (a: number, b: number): number => a - b;

/**
 * What is held out by class, given a class per example: of each class `fraction`, rounded, and at least one example stays on
 * either side where the class has two. In ascending order; the same seed gives the same split.
 */
export function stratifiedSplit(classes: readonly string[], fraction: number, seed: number): number[] {
  const random = new Random(seed);
  const held: number[] = [];
  for (const members of placesByValue(classes).values()) {
    const count = Math.min(members.length - 1, Math.max(1, Math.round(members.length * fraction)));
    // The front of a Fisher-Yates shuffle.
    for (let i = 0; i < count; i++) {
      const j = i + random.index(members.length - i);
      [members[i], members[j]] = [members[j]!, members[i]!];
    }
    for (const each of members.slice(0, count)) held.push(each);
  }
  return held.sort(ascending);
}

/**
 * What a split by the fraction `holdOut` gives, if it is fair: undefined of data so small, or of groups so large, that twice as
 * much would have to go, and where what it would hold out cannot be measured.
 */
export function fairHoldOut<Item>(
  split: RecordSplit<Item>,
  holdOut: number,
  canMeasure: (held: readonly Item[]) => boolean = () => true,
): RecordSplit<Item> | undefined {
  const { kept, held } = split;
  const isFair = held.length > 0 && held.length <= 2 * holdOut * (kept.length + held.length) && canMeasure(held);
  return isFair ? split : undefined;
}

/** What is known of an example when it is split by group. */
interface GroupedExample {
  readonly group: string;
  readonly labels: readonly string[];
}

/**
 * What is held out in whole groups: about `fraction` of the examples and of each label. Groups change sides, in random order,
 * for as long as that brings the numbers nearer to their shares. Both sides get a group at least; of fewer than two groups
 * nothing is held out. In ascending order; the same seed gives the same split.
 */
export function groupSplit(examples: readonly GroupedExample[], fraction: number, seed: number): number[] {
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
  if (groups.size < 2) return [];
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
  return [...examples.keys()].filter((i) => held.has(examples[i]!.group));
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

/**
 * What is held out by labels, given those of each example: about `fraction` of all and of each label. Labels are dealt out in
 * turn, the rarest first, each example to the side that lacks its label most. In ascending order; the same seed gives the same
 * split.
 *
 * @see Sechidis, Tsoumakas and Vlahavas, "On the stratification of multi-label data" (2011): iterative stratification
 */
export function labelSetSplit(labels: readonly (readonly string[])[], fraction: number, seed: number): number[] {
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
  return held.members.sort(ascending);
}
