/** @file Tells variants of one protein from a collection of different ones. */

import type { SequenceRecord } from '../data/sequenceRecord.ts';

/** How much of a sequence is as in most others, on average, from which all are variants of one. */
const ALIKE = 0.9;

/**
 * True where the records are variants of one sequence: their mutations are given, or all are of one length and more than 90% of
 * their letters are those that most have at that place.
 */
export function isOneProtein(records: readonly SequenceRecord[]): boolean {
  if (records.every(({ substitutions }) => substitutions !== undefined)) return true;
  const length = records[0]?.sequence.length ?? 0;
  if (records.some(({ sequence }) => sequence.length !== length)) return false;
  let alike = 0;
  for (let at = 0; at < length; at++) {
    const counts = new Map<string, number>();
    for (const { sequence } of records) counts.set(sequence[at]!, (counts.get(sequence[at]!) ?? 0) + 1);
    alike += Math.max(...counts.values());
  }
  return alike > ALIKE * length * records.length;
}
