/** @file Speech manifests: their columns and rows, and the settings of speech data. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import {
  cellLabels,
  cellNumber,
  cellNumbers,
  cellError,
  cellSplit,
  cellText,
  ColumnFinder,
  type ColumnRoles,
  withoutUndefined,
  fileInside,
  type Row,
  type Table,
  tasksOfColumns,
  columnSettings,
  evalSplitSetting,
} from '@onnx-lora/sdk/data';
import type { SettingRows } from '@onnx-lora/sdk/plugin';
import { dirname } from 'node:path';
import type { AudioSpan } from '../audio/audio.ts';
import { isAudio, type SpeechColumns, type SpeechDataOptions, type SpeechRecord } from './speechRecord.ts';

/** Column roles of manifests, with the names of Hugging Face's audio folders, Common Voice and NeMo. */
const speechColumns: ColumnRoles<keyof SpeechColumns> = {
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

/** Tasks by the column they learn. Texts are learned by `speech-recognition`, the usual task of its models. */
const learnedBy = { label: 'audio-classification', labels: 'audio-tagging', values: 'audio-regression' };

type FoundColumns = { [Role in Exclude<keyof SpeechColumns, 'values'>]?: string } & {
  audio: string;
  values?: readonly string[];
};

/** Records of a table; files are not checked. Paths are relative to `folder`. @throws OnnxLoraError `DATA_INVALID` */
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
  const columns: FoundColumns = {
    audio,
    ...withoutUndefined({ ...Object.fromEntries(found), values: finder.many('values') }),
  };
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
    ...withoutUndefined({
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

/** Numbers of one cell, or one from each cell; NaN for an empty cell. */
function valuesIn(row: Row, columns: readonly string[]): readonly number[] {
  const isKnown = (column: string): boolean => ![undefined, null, ''].includes(row.cells.get(column) as undefined);
  const [first] = columns;
  if (columns.length === 1 && isKnown(first!)) return cellNumbers(row, first!);
  return columns.map((column) => (isKnown(column) ? cellNumber(row, column) : Number.NaN));
}

/** The file's name, which Hugging Face's data may wrap as `{ "path": … }`. */
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

function placeIn(row: Row, columns: FoundColumns): { span?: AudioSpan; duration?: number } {
  const seconds = (column: string | undefined): number | undefined => {
    if (column === undefined || cellText(row, column) === undefined) return undefined;
    const value = cellNumber(row, column);
    if (value >= 0) return value;
    throw cellError(row, column, value, 'a time in seconds', 'Correct it');
  };
  const [start, length] = [seconds(columns.start), seconds(columns.duration)];
  // Without an end, the duration is the utterance's, not the recording's.
  const lasts = columns.end === undefined && start !== undefined && length !== undefined;
  const end = lasts ? start + length : seconds(columns.end);
  const span = spanOf(start, end, row.place);
  const duration = end === undefined ? (start ? undefined : length) : end - (start ?? 0);
  return withoutUndefined({ span, duration });
}

/** The span from `start` to `end`, if any. @throws OnnxLoraError `DATA_INVALID` for an end before the start */
export function spanOf(start: number | undefined, end: number | undefined, place: string): AudioSpan | undefined {
  if (start === undefined && end === undefined) return undefined;
  if (end !== undefined && end <= (start ?? 0)) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `${place}: the utterance ends at ${end} s, but it begins at ${start ?? 0} s. Correct the times; they are seconds from the beginning of the recording.`,
    );
  }
  return withoutUndefined({ start, end });
}

/** Settings of speech data, by option. */
export const speechDataSettings: SettingRows<SpeechDataOptions> = {
  columns: columnSettings<SpeechColumns>(speechColumns),
  audioFolder: {
    kind: 'text',
    description: "Folder that the paths in a manifest start from; the manifest's by default.",
  },
  missingAudio: {
    kind: 'choice',
    of: ['fail', 'skip'],
    description: 'fail (default) or skip: records whose file does not exist.',
  },
  splitBy: {
    kind: 'choice',
    of: ['speaker', 'text', 'recording'],
    description: 'speaker, text or recording: what is never divided when a fraction is held out.',
  },
  evalSplit: evalSplitSetting,
  minSeconds: { kind: 'number', min: 0, description: 'Shorter recordings are left out.' },
  maxSeconds: { kind: 'number', above: 0, description: 'Longer recordings are left out.' },
};
