/** @file Finds classes that a split leaves on one side. */

import { listed, type RecordSplit } from '@onnx-lora/sdk';
import type { SequenceRecord } from '../data/sequenceRecord.ts';

/** Records from which a class should be on both sides; a rarer one may well not be. */
const ENOUGH = 10;

/** Classes that are only measured on, and larger ones that are only trained on. */
export function classesOnOneSide({ kept, held }: RecordSplit<SequenceRecord>): {
  readonly trained: readonly string[];
  readonly measured: readonly string[];
} {
  const [inKept, inHeld] = [classCounts(kept), classCounts(held)];
  return {
    trained: [...inKept].flatMap(([name, count]) => (count >= ENOUGH && !inHeld.has(name) ? [name] : [])).sort(),
    measured: [...inHeld.keys()].filter((name) => !inKept.has(name)).sort(),
  };
}

/** Warnings about such classes. */
export function oneSideWarnings(split: RecordSplit<SequenceRecord>): string[] {
  if (split.held.length === 0) return [];
  const { trained, measured } = classesOnOneSide(split);
  const remedy =
    "because what stays whole has all of them. Split in another way (splitBy: 'random') to have each on both sides.";
  return [
    ...(measured.length > 0 ? [`Nothing of ${listed(measured)} is trained on, ${remedy}`] : []),
    ...(trained.length > 0 ? [`Nothing of ${listed(trained)} is held out, ${remedy}`] : []),
  ];
}

function classCounts(records: readonly SequenceRecord[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const name of records.flatMap(({ labels = [] }) => labels)) counts.set(name, (counts.get(name) ?? 0) + 1);
  return counts;
}
