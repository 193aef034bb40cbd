/** @file Which sequences are of one kind: those of one label, of one group, or the two of a pair. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { SequenceRecord } from '../../data/sequenceRecord.ts';

/** Sequences one by one, and the kind of each. */
export interface Kinds {
  readonly records: readonly SequenceRecord[];
  readonly kinds: readonly string[];
}

/** Labels of pairs that belong together, and of those that do not. */
const together: ReadonlySet<string> = new Set(['1', 'true', 'yes', 'positive']);
const apart: ReadonlySet<string> = new Set(['0', 'false', 'no', 'negative']);

/**
 * The kinds of records: the label, or where there are no labels the group. Of pairs, each is a kind of two sequences; where pairs
 * have labels of 1 and 0, those of 1.
 *
 * @throws OnnxLoraError `DATA_INVALID` for a record of which nothing says what it is like
 */
export function kindsOf(records: readonly SequenceRecord[]): Kinds {
  const all = records.flatMap((record, i): (readonly [SequenceRecord, string])[] => {
    const { second, ...first } = record;
    if (second === undefined) return [[record, kindOf(record)]];
    if (!isTogether(record)) return [];
    const kind = `pair ${i + 1}`;
    return [
      [first, kind],
      [{ ...first, id: `${record.id}, second`, sequence: second }, kind],
    ];
  });
  return { records: all.map(([record]) => record), kinds: all.map(([, kind]) => kind) };
}

function isTogether({ labels = [], where }: SequenceRecord): boolean {
  const label = labels[0]?.toLowerCase();
  if (label === undefined || together.has(label)) return true;
  if (apart.has(label)) return false;
  throw new OnnxLoraError(
    'DATA_INVALID',
    `${where}: pairs that belong together have the label 1 and others 0, or pairs have no labels, but this one has "${labels[0]}". For classes of pairs take the task sequence-classification.`,
  );
}

function kindOf({ labels = [], group, where }: SequenceRecord): string {
  const kind = labels[0] ?? group;
  if (kind !== undefined && labels.length <= 1) return kind;
  throw new OnnxLoraError(
    'DATA_INVALID',
    labels.length > 1
      ? `${where} has ${labels.length} labels, so nothing says which sequences are of one kind. Give it one.`
      : `${where} has no label, no group and no partner, so nothing says which sequences are of one kind. Name one of them: a column label, group or second.`,
  );
}
