/** @file Splits records by a fraction: by group, by label sets, or by class. */

import { Random } from '../../runtime/random.ts';

/** Shuffles items by a seed. */
export function shuffled<T>(items: readonly T[], seed: number): T[] {
  return new Random(seed).permutation(items.length).map((i) => items[i]!);
}

/** Training and held-out records, each in their original order. */
export interface RecordSplit<Item> {
  /** Training records. */
  readonly kept: readonly Item[];
  /** Held-out records. */
  readonly held: readonly Item[];
}

/** A record's properties for splitting. */
export interface SplitFacts {
  /** Sort key, so that the split does not depend on the order of records. */
  readonly key: string;
  /** Group; records of a group stay together. */
  readonly group?: string | undefined;
  /** File; without a group, records of a file stay together. */
  readonly file?: string;
  /** Class. */
  readonly label?: string | undefined;
  /** All labels of a multi-label record. */
  readonly labels?: readonly string[] | undefined;
}

/**
 * Holds out about `fraction` of the records, stratified by class or label, and by whole groups or files. The split
 * depends on the seed, not on the order of the records; it is empty where no split is possible.
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

/** Positions of each distinct value. */
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

/** Indices of a sample of `fraction` of each class, leaving at least one on either side if the class has two. */
export function stratifiedSplit(classes: readonly string[], fraction: number, seed: number): number[] {
  const random = new Random(seed);
  const held: number[] = [];
  for (const members of placesByValue(classes).values()) {
    const count = Math.min(members.length - 1, Math.max(1, Math.round(members.length * fraction)));
    for (let i = 0; i < count; i++) {
      const j = i + random.index(members.length - i);
      [members[i], members[j]] = [members[j]!, members[i]!];
    }
    for (const each of members.slice(0, count)) held.push(each);
  }
  return held.sort(ascending);
}

/** The split, if it can be evaluated and holds out at most twice `holdOut`, as small data or large groups might not. */
export function fairHoldOut<Item>(
  split: RecordSplit<Item>,
  holdOut: number,
  canMeasure: (held: readonly Item[]) => boolean = () => true,
): RecordSplit<Item> | undefined {
  const { kept, held } = split;
  const isFair = held.length > 0 && held.length <= 2 * holdOut * (kept.length + held.length) && canMeasure(held);
  return isFair ? split : undefined;
}

interface GroupedExample {
  readonly group: string;
  readonly labels: readonly string[];
}

/**
 * Indices of a sample of whole groups, in ascending order: about `fraction` of the examples and of each label. In
 * random order, groups switch sides while that brings the counts nearer to their targets. Both sides get at least one
 * group; with fewer than two groups, nothing is held out. The same seed gives the same split.
 */
export function groupSplit(examples: readonly GroupedExample[], fraction: number, seed: number): number[] {
  const groups = new Map<string, Group>();
  // The empty label counts all examples.
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
  /** Examples by label; the empty label counts all. */
  readonly counts: Map<string, number>;
}

interface Count {
  readonly total: number;
  held: number;
}

/** Change of Σ (held − fraction · total)² / total over labels, as in a chi-square test, when a group switches sides. */
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
 * Indices of a sample stratified by label sets, in ascending order: iterative stratification, from the rarest label on,
 * each example to the side that lacks its label most. See Sechidis, Tsoumakas and Vlahavas, "On the stratification of
 * multi-label data" (2011). The same seed gives the same split.
 */
export function labelSetSplit(labels: readonly (readonly string[])[], fraction: number, seed: number): number[] {
  // Iteration in random order breaks ties.
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
    /** Examples still wanted, per label and in total. */
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
