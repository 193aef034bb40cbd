/** @file Recordings that a table names, one per row: which column holds what, and what its cells say. */

import { dirname } from 'node:path';
import { OnnxLoraError } from '@onnx-lora/sdk';
import {
  cellLabels,
  cellNumber,
  cellNumbers,
  cellRefused,
  cellSplit,
  cellText,
  ColumnFinder,
  type ColumnRoles,
  defined,
  fileInside,
  type Row,
  type Table,
  tasksOfColumns,
} from '@onnx-lora/sdk/data';
import type { AudioSpan } from '../audio/audio.ts';
import { isAudio, type SpeechColumns, type SpeechDataOptions, type SpeechRecord } from './speechRecord.ts';

/** What the columns of manifests may hold; usual names are those of Hugging Face's audio folders, Common Voice and NeMo, too. */
export const speechColumns: ColumnRoles<keyof SpeechColumns> = {
  audio: {
    description: 'Column of a manifest with the path of the recording.',
    usual: ['path', 'audio', 'file', 'file_name', 'audio_filepath', 'filename', 'audio_path', 'audio_file', 'wav'],
  },
  text: {
    description: 'Column with what is said.',
    usual: ['text', 'sentence', 'transcript', 'transcription'],
  },
  label: { description: 'Column with the class.', usual: ['label', 'class', 'category'] },
  labels: { description: 'Column that lists labels.', usual: ['labels', 'tags'] },
  values: {
    description: 'Columns with numbers to predict.',
    usual: ['value', 'values'],
    isMany: true,
  },
  speaker: {
    description: 'Column with who speaks.',
    usual: ['speaker', 'speaker_id', 'client_id'],
  },
  language: {
    description: 'Column with the language.',
    usual: ['language', 'lang', 'locale'],
  },
  start: {
    description: 'Column with the second at which the utterance begins.',
    usual: ['start', 'start_time', 'begin', 'offset'],
  },
  end: {
    description: 'Column with the second at which it ends.',
    usual: ['end', 'end_time', 'stop'],
  },
  duration: {
    description: 'Column with how many seconds it lasts.',
    usual: ['duration', 'seconds'],
  },
  split: { description: 'Column with train, validation or test.', usual: ['split', 'subset'] },
};

/** The tasks that learn what columns hold. No model of a task beside `speech-recognition` that is its usual one writes texts. */
const learnedBy = { label: 'audio-classification', labels: 'audio-tagging', values: 'audio-regression' };

/** Columns that a table has, by what they hold. */
type FoundColumns = { [Role in Exclude<keyof SpeechColumns, 'values'>]?: string } & {
  audio: string;
  values?: readonly string[];
};

/**
 * Records of a table; whether their files exist is not looked at. Names of files start from `folder`.
 *
 * @throws OnnxLoraError `DATA_INVALID` when no column names the recording, or the user names one that is not there, and for cells
 */
export function manifestRecords(
  table: Table,
  { columns: names, audioFolder, unused }: SpeechDataOptions,
  folder: string = dirname(table.file),
): SpeechRecord[] {
  const finder = new ColumnFinder(table, speechColumns, names);
  const audio = finder.one('audio');
  if (audio === undefined)
    throw finder.missing('audio', { what: 'the recording', isData: isAudio, header: 'path,text' });
  const { audio: _, values: __, ...others } = speechColumns;
  const found = (Object.keys(others) as (keyof typeof others)[]).map((role) => [role, finder.one(role)]);
  const columns: FoundColumns = { audio, ...defined({ ...Object.fromEntries(found), values: finder.many('values') }) };
  unused?.add(finder.rest, tasksOfColumns(table.columns, speechColumns, learnedBy));
  return table.rows.map((row) => recordOf(row, columns, audioFolder ?? folder));
}

function recordOf(row: Row, columns: FoundColumns, folder: string): SpeechRecord {
  const text = (column: string | undefined): string | undefined =>
    column === undefined ? undefined : cellText(row, column);
  const label = text(columns.label);
  const { labels, split } = columns;
  const name = nameIn(row, columns.audio);
  return {
    audio: fileInside(folder, name, row.place, 'audioFolder'),
    ...placeIn(row, columns),
    ...defined({
      text: text(columns.text),
      labels: label !== undefined ? [label] : labels === undefined ? undefined : cellLabels(row, labels),
      values: columns.values && valuesIn(row, columns.values),
      speaker: text(columns.speaker),
      language: text(columns.language),
      split: split === undefined ? undefined : cellSplit(row, split),
    }),
    where: `${name} (${row.place})`,
  };
}

/** Numbers of one cell, or of a cell each, of which an empty one is not known. */
function valuesIn(row: Row, columns: readonly string[]): readonly number[] {
  const isKnown = (column: string): boolean => ![undefined, null, ''].includes(row.cells.get(column) as undefined);
  const [first] = columns;
  if (columns.length === 1 && isKnown(first!)) return cellNumbers(row, first!);
  return columns.map((column) => (isKnown(column) ? cellNumber(row, column) : Number.NaN));
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
  return defined({ span, duration });
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
  return defined({ start, end });
}
