/** @file Finds classes that a split leaves on one side. */

import { listed, type RecordSplit } from '@onnx-lora/sdk';
import type { SequenceRecord } from '../data/sequenceRecord.ts';

/** Classes that are only trained on, and those that are only measured on. */
export function classesOnOneSide({ kept, held }: RecordSplit<SequenceRecord>): {
  readonly trained: readonly string[];
  readonly measured: readonly string[];
} {
  const [inKept, inHeld] = [classesOf(kept), classesOf(held)];
  return {
    trained: [...inKept].filter((name) => !inHeld.has(name)).sort(),
    measured: [...inHeld].filter((name) => !inKept.has(name)).sort(),
  };
}

/** Warnings about such classes; none of data that have nothing held out, or as many classes as records. */
export function oneSideWarnings(split: RecordSplit<SequenceRecord>): string[] {
  const { kept, held } = split;
  const count = new Set([...classesOf(kept), ...classesOf(held)]).size;
  if (held.length === 0 || 2 * count > kept.length + held.length) return [];
  const { trained, measured } = classesOnOneSide(split);
  const remedy =
    "because what stays whole has all of them. Split in another way (splitBy: 'random') to have each on both sides.";
  return [
    ...(measured.length > 0 ? [`Nothing of ${listed(measured)} is trained on, ${remedy}`] : []),
    ...(trained.length > 0 ? [`Nothing of ${listed(trained)} is held out, ${remedy}`] : []),
  ];
}

function classesOf(records: readonly SequenceRecord[]): Set<string> {
  return new Set(records.flatMap(({ labels = [] }) => labels));
}
