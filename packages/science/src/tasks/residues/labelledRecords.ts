/** @file Records of which something is known of at least one residue. */

import type { SequenceRecord } from '../../data/sequenceRecord.ts';

/** Records and what is known of their tokens. */
export interface LabelledRecords {
  readonly records: readonly SequenceRecord[];
  /** Of each record, what is known of each token; NaN where nothing is. */
  readonly targets: readonly (readonly number[])[];
  /** Says what was left out. */
  readonly warnings: readonly string[];
}

/** Leaves out records of which nothing is known: they would teach nothing. */
export function labelledRecords(
  records: readonly SequenceRecord[],
  valuesOf: (record: SequenceRecord) => readonly number[],
): LabelledRecords {
  const all = records.map((record) => ({ record, target: valuesOf(record) }));
  const known = all.filter(({ target }) => !target.every(Number.isNaN));
  const lost = all.find(({ target }) => target.every(Number.isNaN))?.record;
  return {
    records: known.map(({ record }) => record),
    targets: known.map(({ target }) => target),
    warnings: lost
      ? [
          `${all.length - known.length} sequences have no residue with a known label, and are left out: the first is ${lost.where}.`,
        ]
      : [],
  };
}
