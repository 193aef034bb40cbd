/** @file Holds records out by a fraction: by group, by all their labels, or by class, as they have them. */

import { Random } from '../../runtime/random.ts';
import { groupSplit } from './groupSplit.ts';
import { labelSetSplit } from './labelSetSplit.ts';

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
    return groupSplit(examples, fraction, seed)?.held ?? [];
  }
  if (facts.some(({ label, labels }) => label === undefined && labels !== undefined)) {
    const split = labelSetSplit(facts.map(labelsOf), fraction, seed);
    return split.kept.length > 0 ? split.held : [];
  }
  return stratifiedSplit(
    facts.map(({ label }) => label ?? ''),
    fraction,
    seed,
  ).held;
}

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
