/** @file Which sequences show what a classifier attends to. */

import type { SequenceRecord } from '../../data/sequenceRecord.ts';
import type { AttendedSequence } from '../attention/attentionSection.ts';
import type { RecordAnswers } from '../recordMetrics.ts';

/** Sequences that are shown, one of a class. */
const SHOWN = 4;
/** Letters of the longest that is shown. */
const LONGEST = 1000;

/** Of the first classes the sequence that is answered best; pairs and long sequences are left out. */
export function attendedSequences(
  labels: readonly string[],
  { answers, truths }: RecordAnswers,
  records: readonly SequenceRecord[],
): readonly AttendedSequence[] {
  const best = labels.flatMap((label, c) => {
    let found: { readonly record: SequenceRecord; readonly probability: number } | undefined;
    for (const [i, [truth]] of truths.entries()) {
      const record = records[i]!;
      const probability = answers[i * labels.length + c]!;
      if (truth !== c || record.second !== undefined || record.sequence.length > LONGEST) continue;
      if (!found || probability > found.probability) found = { record, probability };
    }
    if (!found) return [];
    const { record, probability } = found;
    return [{ title: `${record.id}: ${label} (${(100 * probability).toFixed(0)}%)`, sequence: record.sequence }];
  });
  return best.slice(0, SHOWN);
}
