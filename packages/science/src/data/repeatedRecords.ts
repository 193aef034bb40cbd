/** @file Finds records that are in the data twice. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { SequencePart, SequenceRecord } from './sequenceRecord.ts';

/**
 * A warning where sequences are in one file twice.
 *
 * @throws OnnxLoraError `DATA_INVALID` where one id of a file stands for different sequences
 */
export function repeatedRecords(parts: readonly SequencePart[]): string[] {
  return parts.flatMap(({ records, columns }) => {
    const byId = new Map<string, SequenceRecord>();
    let count = 0;
    let example: string | undefined;
    // Rows of a table have ids where it has a column for them.
    const hasIds = columns === undefined || columns.id !== undefined;
    for (const record of hasIds ? records : []) {
      const first = byId.get(record.id);
      if (!first) byId.set(record.id, record);
      else if (first.sequence === record.sequence && first.second === record.second) {
        count++;
        example ??= `"${record.id}" (${first.where}; ${record.where})`;
      } else throw sameId(first, record, columns?.id);
    }
    if (count === 0) return [];
    return [`${count} records are there twice, with the same id and sequence, such as ${example}.`];
  });
}

function sameId(first: SequenceRecord, second: SequenceRecord, column: string | undefined): OnnxLoraError {
  const place = column === undefined ? second.where : `${second.where}, column "${column}"`;
  const remedy =
    column === undefined
      ? 'Rename one of them.'
      : 'Rename one of them; or, if the column is no name of the row, say which one is: columns: { id }, on the command line --set idColumn=….';
  return new OnnxLoraError(
    'DATA_INVALID',
    `${place}: the id ${JSON.stringify(second.id.slice(0, 60))} is that of another sequence, too (${first.where}). ${remedy}`,
  );
}
