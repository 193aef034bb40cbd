/** @file Kaldi's and LibriSpeech's layouts: `wav.scp` with `text` and the like, and folders per speaker and chapter. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import {
  withoutUndefined,
  fileInside,
  type FolderEntries,
  locatedLines,
  readFolder,
  type Split,
  stemOf,
} from '@onnx-lora/sdk/data';
import { didYouMean } from '@onnx-lora/sdk/plugin';
import { join, basename } from 'node:path';
import { spanOf } from './manifest.ts';
import { type SpeechDataOptions, type SpeechRecord, isAudio } from './speechRecord.ts';

/** True for a Kaldi data folder. */
export function isKaldi({ files }: FolderEntries): boolean {
  return files.includes('wav.scp');
}

/**
 * Records of a Kaldi data folder. Paths are relative to the folder, or to `audioFolder`.
 * @throws OnnxLoraError `DATA_INVALID` for a recording made by a command, which is never run, or in an archive; and for
 *   inconsistent files
 * @see https://kaldi-asr.org/doc/data_prep.html
 */
export async function kaldiRecords(
  root: string,
  { files }: FolderEntries,
  { audioFolder = root }: SpeechDataOptions,
): Promise<SpeechRecord[]> {
  const table = async (name: string): Promise<ReadonlyMap<string, Entry> | undefined> =>
    files.includes(name) ? entriesOf(await locatedLines(join(root, name))) : undefined;
  const recordings = (await table('wav.scp'))!;
  const text = await table('text');
  const speakers = await table('utt2spk');
  const languages = await table('utt2lang');
  const durations = await table('utt2dur');
  const segments = await table('segments');
  const paths = new Map([...recordings].map(([id, entry]) => [id, pathOf(entry, audioFolder)]));
  const utterances = segments
    ? [...segments].map(([id, entry]) => ({ id, ...segmentOf(entry, paths) }))
    : [...paths].map(([id, audio]) => ({ id, audio, place: recordings.get(id)!.place }));
  return utterances.map(({ id, place, ...rest }): SpeechRecord => {
    const duration = segments ? undefined : Number(durations?.get(id)?.value);
    return {
      ...rest,
      ...withoutUndefined({
        text: text?.get(id)?.value,
        speaker: speakers?.get(id)?.value,
        language: languages?.get(id)?.value,
        duration: duration !== undefined && duration > 0 ? duration : undefined,
      }),
      where: `${id} (${place})`,
    };
  });
}

interface Entry {
  readonly value: string | undefined;
  readonly place: string;
}

/** The first word of a line and the rest, undefined if empty. */
function firstWord(line: string): { readonly word: string; readonly rest: string | undefined } {
  const { word, rest } = /^(?<word>\S+)(?:\s+(?<rest>.*))?$/s.exec(line)!.groups!;
  return { word: word!, rest };
}

function entriesOf(lines: Awaited<ReturnType<typeof locatedLines>>): ReadonlyMap<string, Entry> {
  const entries = new Map<string, Entry>();
  for (const { text, place } of lines) {
    const { word: id, rest: value } = firstWord(text);
    if (entries.has(id))
      throw new OnnxLoraError('DATA_INVALID', `${place}: "${id}" comes a second time. Remove one of the lines.`);
    entries.set(id, { value, place });
  }
  return entries;
}

function pathOf({ value, place }: Entry, folder: string): string {
  const refused = (problem: string, remedy: string): OnnxLoraError =>
    new OnnxLoraError('DATA_INVALID', `${place}: ${problem}. ${remedy}`);
  if (value === undefined) throw refused('no file is named', 'Write "ID path.wav".');
  if (value.endsWith('|') || value.startsWith('|') || value === '-') {
    throw refused(
      'the recording is made by a command, and commands from files are not run',
      'Run it yourself, and name the file that it makes.',
    );
  }
  if (/\.ark:\d+$/.test(value))
    throw refused('the recording lies in a Kaldi archive, a format that cannot be read', 'Extract it with wav-copy.');
  return fileInside(folder, value, place, 'audioFolder');
}

function segmentOf(
  { value = '', place }: Entry,
  paths: ReadonlyMap<string, string>,
): Pick<SpeechRecord, 'audio' | 'span'> & { readonly place: string } {
  const [id = '', start, end] = value.split(/\s+/);
  const [from, to] = [Number(start), Number(end)];
  if (!(from >= 0 && Number.isFinite(to))) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `${place}: a segment is "UTTERANCE RECORDING START END" with times in seconds, but it is "${value.slice(0, 80)}". Correct the line.`,
    );
  }
  const audio = paths.get(id);
  if (audio === undefined) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `${place}: wav.scp has no recording "${id}".${didYouMean(id, [...paths.keys()])} Correct the line.`,
    );
  }
  // In Kaldi, −1 is the end of the recording.
  return { audio, place, ...(to < 0 ? { span: { start: from } } : { span: spanOf(from, to, place)! }) };
}

const ENDING = '.trans.txt';
/** `LibriSpeech/train-clean-100/19/198`. */
const DEPTH = 4;
const splits: readonly (readonly [start: string, split: Split])[] = [
  ['train', 'train'],
  ['dev', 'validation'],
  ['test', 'test'],
];

/**
 * Records of LibriSpeech or a part of it; undefined otherwise. @throws OnnxLoraError `DATA_INVALID` for missing audio
 */
export async function libriSpeechRecords(root: string, entries: FolderEntries): Promise<SpeechRecord[] | undefined> {
  if (!(await isLibriSpeech(root, entries, DEPTH))) return undefined;
  const records: SpeechRecord[] = [];
  await addFolder(root, entries, DEPTH, splitOf(basename(root)), records);
  return records;
}

/** True if the first folders lead to a chapter. */
async function isLibriSpeech(folder: string, { files, folders }: FolderEntries, depth: number): Promise<boolean> {
  if (files.some((name) => name.endsWith(ENDING))) return true;
  const [first] = folders;
  if (first === undefined || depth === 0 || files.some(isAudio)) return false;
  const inner = join(folder, first);
  return isLibriSpeech(inner, await readFolder(inner), depth - 1);
}

async function addFolder(
  folder: string,
  { files, folders }: FolderEntries,
  depth: number,
  split: Split | undefined,
  records: SpeechRecord[],
): Promise<void> {
  for (const name of files) if (name.endsWith(ENDING)) await addChapter(folder, name, files, split, records);
  if (depth === 0) return;
  for (const name of folders) {
    const inner = join(folder, name);
    await addFolder(inner, await readFolder(inner), depth - 1, split ?? splitOf(name), records);
  }
}

async function addChapter(
  folder: string,
  name: string,
  files: readonly string[],
  split: Split | undefined,
  records: SpeechRecord[],
): Promise<void> {
  const recordings = new Map(files.filter(isAudio).map((file) => [stemOf(file), file]));
  for (const { text: line, place } of await locatedLines(join(folder, name))) {
    const { word: id, rest: text } = firstWord(line);
    const file = recordings.get(id);
    if (file === undefined) {
      throw new OnnxLoraError(
        'DATA_INVALID',
        `${place}: there is no recording "${id}" in "${folder}". Unpack the data again, or remove the line.`,
      );
    }
    records.push({
      audio: join(folder, file),
      ...(text === undefined ? {} : { text }),
      // Utterance ids are SPEAKER-CHAPTER-NUMBER.
      speaker: id.split('-', 1)[0]!,
      ...(split === undefined ? {} : { split }),
      where: `${join(folder, file)} (${place})`,
    });
  }
}

function splitOf(name: string): Split | undefined {
  return splits.find(([start]) => name.toLowerCase().startsWith(start))?.[1];
}
