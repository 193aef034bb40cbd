/** @file Which column of a manifest holds what. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { listed } from '@onnx-lora/sdk/tasks';
import { ColumnFinder, type Table } from '@onnx-lora/sdk/data';
import { isAudio } from '../audioFile.ts';
import type { SpeechColumns } from '../speechSource.ts';

/** Columns that a table has, by what they hold. */
export type FoundColumns = SpeechColumns & { readonly audio: string };

/** Usual names, those of Hugging Face's audio folders, Common Voice and NeMo among them. */
const usual = {
  audio: ['path', 'audio', 'file', 'file_name', 'audio_filepath', 'filename', 'audio_path', 'audio_file', 'wav'],
  text: ['text', 'sentence', 'transcript', 'transcription'],
  label: ['label', 'class', 'category'],
  labels: ['labels', 'tags'],
  speaker: ['speaker', 'speaker_id', 'client_id'],
  language: ['language', 'lang', 'locale'],
  start: ['start', 'start_time', 'begin', 'offset'],
  end: ['end', 'end_time', 'stop'],
  duration: ['duration', 'seconds'],
  split: ['split', 'subset'],
} as const;

/**
 * Finds the columns.
 *
 * @throws OnnxLoraError `DATA_INVALID` when none names the recording, or the user names one that is not there
 */
export function manifestColumns(table: Table, names: SpeechColumns = {}): FoundColumns {
  const finder = new ColumnFinder(table);
  const roles = Object.keys(usual) as (keyof typeof usual)[];
  const columns: { -readonly [Role in keyof SpeechColumns]: string } = {};
  // Columns that the user names are taken first, so that no usual name takes them for something else.
  for (const role of roles) if (names[role] !== undefined) columns[role] = finder.chosen(names[role], role);
  for (const role of roles) {
    const column = columns[role] ?? finder.found(usual[role]);
    if (column !== undefined) columns[role] = column;
  }
  const { audio } = columns;
  if (audio === undefined) throw noAudioColumn(table);
  return { ...columns, audio };
}

function noAudioColumn({ file, columns }: Table): OnnxLoraError {
  const remedy = columns.some(isAudio)
    ? 'Its first line names a recording: put a header before it, such as "path,text".'
    : `Name it "path", or say which it is: columns: { audio: '${columns[0] ?? 'path'}' }, on the command line --set audioColumn=${columns[0] ?? 'path'}.`;
  return new OnnxLoraError(
    'DATA_INVALID',
    `"${file}" has no column for the recording, such as ${listed(usual.audio.slice(0, 4))}. Its columns: ${listed(columns)}. ${remedy}`,
  );
}
