/** @file What splitting looks at in a record. */

import type { SplitFacts } from '@onnx-lora/sdk/data';
import type { SequenceRecord } from '../data/sequenceRecord.ts';

/** What is the same for records of one sequence, or one pair of them. */
export function sequenceKey({ sequence, second }: SequenceRecord): string {
  return second === undefined ? sequence : `${sequence} ${second}`;
}

/** Facts of a record that belongs to a group; its class, or its labels, are spread over both sides. */
export function splitFacts(record: SequenceRecord, group: string): SplitFacts {
  const { id, labels, values } = record;
  const [first] = labels ?? [];
  return {
    // Nothing of where it stands in its file, so that the order of records does not matter.
    key: JSON.stringify([sequenceKey(record), id, labels, values]),
    file: group,
    ...(labels?.length === 1 && first !== undefined ? { label: first } : labels ? { labels } : {}),
  };
}
