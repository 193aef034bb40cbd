/** @file Recordings that a table names, one per row. */

import { dirname } from 'node:path';
import { OnnxLoraError } from '@onnx-lora/sdk';
import {
  cellLabels,
  cellNumber,
  cellRefused,
  cellSplit,
  cellText,
  fileInside,
  type Row,
  type Table,
} from '@onnx-lora/sdk/data';
import type { AudioSpan } from '../../audio/audio.ts';
import type { SpeechRecord } from '../speechRecord.ts';
import type { SpeechDataOptions } from '../speechSource.ts';
import { type FoundColumns, manifestColumns } from './manifestColumns.ts';

/** Records of a table; whether their files exist is not looked at. Names of files start from `folder`. */
export function manifestRecords(
  table: Table,
  { columns, audioFolder }: SpeechDataOptions,
  folder: string = dirname(table.file),
): SpeechRecord[] {
  const found = manifestColumns(table, columns);
  return table.rows.map((row) => recordOf(row, found, audioFolder ?? folder));
}

function recordOf(row: Row, columns: FoundColumns, folder: string): SpeechRecord {
  const optional = (column: string | undefined): string | undefined =>
    column === undefined ? undefined : cellText(row, column);
  const text = optional(columns.text);
  const label = optional(columns.label);
  const labels = label === undefined ? columns.labels && cellLabels(row, columns.labels) : [label];
  const speaker = optional(columns.speaker);
  const language = optional(columns.language);
  const split = columns.split === undefined ? undefined : cellSplit(row, columns.split);
  const name = nameIn(row, columns.audio);
  return {
    audio: fileInside(folder, name, row.place, 'audioFolder'),
    ...placeIn(row, columns),
    ...(text === undefined ? {} : { text }),
    ...(labels ? { labels } : {}),
    ...(speaker === undefined ? {} : { speaker }),
    ...(language === undefined ? {} : { language }),
    ...(split === undefined ? {} : { split }),
    where: `${name} (${row.place})`,
  };
}

/** The name of the file, which Hugging Face's data may wrap as `{ "path": … }`. */
function nameIn(row: Row, column: string): string {
  const cell = row.cells.get(column);
  const inner = typeof cell === 'object' && cell !== null && 'path' in cell ? cell.path : undefined;
  const name = typeof inner === 'string' ? inner : cellText(row, column);
  if (name !== undefined) return name;
  throw new OnnxLoraError(
    'DATA_INVALID',
    `${row.place}: the column "${column}" is empty. Name a recording, or remove the line.`,
  );
}

/** Which part of the recording the row means, and how long that is. */
function placeIn(row: Row, columns: FoundColumns): { span?: AudioSpan; duration?: number } {
  const seconds = (column: string | undefined): number | undefined => {
    if (column === undefined || cellText(row, column) === undefined) return undefined;
    const value = cellNumber(row, column);
    if (value >= 0) return value;
    throw cellRefused(row, column, value, 'a time in seconds', 'Correct it');
  };
  const [start, length] = [seconds(columns.start), seconds(columns.duration)];
  // Where nothing says when it ends, it is the utterance that lasts so long, and not the recording.
  const lasts = columns.end === undefined && start !== undefined && length !== undefined;
  const end = lasts ? start + length : seconds(columns.end);
  const span = spanOf(start, end, row.place);
  const duration = end === undefined ? (start ? undefined : length) : end - (start ?? 0);
  return { ...(span ? { span } : {}), ...(duration === undefined ? {} : { duration }) };
}

/**
 * The part from `start` to `end`; undefined for the whole.
 *
 * @throws OnnxLoraError `DATA_INVALID` for a part that ends before it begins
 */
export function spanOf(start: number | undefined, end: number | undefined, place: string): AudioSpan | undefined {
  if (start === undefined && end === undefined) return undefined;
  if (end !== undefined && end <= (start ?? 0)) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `${place}: the utterance ends at ${end} s, but it begins at ${start ?? 0} s. Correct the times; they are seconds from the beginning of the recording.`,
    );
  }
  return { ...(start === undefined ? {} : { start }), ...(end === undefined ? {} : { end }) };
}
