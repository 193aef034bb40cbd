/** @file Holds records out by a fraction: by group, by all their labels, or by class, as they have them. */

import type { ImageRecord } from './imageRecord.ts';
import { groupSplit } from './groupSplit.ts';
import { labelSetSplit } from './labelSetSplit.ts';
import { labelsOfRecord } from './recordLabels.ts';
import { stratifiedSplit } from './stratifiedSplit.ts';

/** Records that stay, and those that are held out, each in the order they came in. */
export interface RecordSplit {
  readonly kept: readonly ImageRecord[];
  readonly held: readonly ImageRecord[];
}

/**
 * Holds out about `fraction` of the records: of every class or label its share, and groups whole. Records of one image are a group
 * too. The same seed gives the same split whatever the order of the records; nothing is held out where that cannot be done.
 */
export function splitRecords(records: readonly ImageRecord[], fraction: number, seed: number): RecordSplit {
  const keys = records.map(keyOf);
  const order = [...records.keys()].sort((a, b) => (keys[a]! < keys[b]! ? -1 : keys[a]! > keys[b]! ? 1 : a - b));
  const sorted = order.map((i) => records[i]!);
  const held = new Set(heldOf(sorted, fraction, seed).map((at) => order[at]!));
  return { kept: records.filter((_, i) => !held.has(i)), held: records.filter((_, i) => held.has(i)) };
}

function heldOf(records: readonly ImageRecord[], fraction: number, seed: number): number[] {
  const hasGroups = records.some(({ group }) => group !== undefined);
  if (hasGroups || new Set(records.map(({ file }) => file)).size < records.length) {
    const examples = records.map((record) => ({ group: record.group ?? record.file, labels: labelsOfRecord(record) }));
    return groupSplit(examples, fraction, seed)?.held ?? [];
  }
  if (records.some(({ label, labels }) => label === undefined && labels !== undefined)) {
    const split = labelSetSplit(records.map(labelsOfRecord), fraction, seed);
    return split.kept.length > 0 ? split.held : [];
  }
  return stratifiedSplit(
    records.map(({ label }) => label ?? ''),
    fraction,
    seed,
  ).held;
}

/** What a record is sorted by. Nothing of where it stands in its manifest, nor outlines, which are long. */
function keyOf({ file, label, text, mask, points, group }: ImageRecord): string {
  return JSON.stringify([file, label, text, mask, points, group]);
}
