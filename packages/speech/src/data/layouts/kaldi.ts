/** @file Kaldi's data folders: `wav.scp`, and beside it `text`, `segments`, `utt2spk` and their kin. */

import { join } from 'node:path';
import { OnnxLoraError } from '@onnx-lora/sdk';
import { fileInside, type FolderEntries } from '@onnx-lora/sdk/data';
import { didYouMean } from '@onnx-lora/sdk/plugin';
import type { SpeechRecord } from '../speechRecord.ts';
import type { SpeechDataOptions } from '../speechSource.ts';
import { spanOf } from './manifest.ts';
import { firstWord, type TextLine, textLines } from './textLines.ts';

/** Whether a folder is one of Kaldi's. */
export function isKaldi({ files }: FolderEntries): boolean {
  return files.includes('wav.scp');
}

/**
 * Records of a Kaldi data folder. Names of files start from the folder, or from `audioFolder`.
 *
 * @throws OnnxLoraError `DATA_INVALID` for a recording that is made by a command, which is never run, or lies in an archive;
 *   and for files that do not fit together
 * @see https://kaldi-asr.org/doc/data_prep.html
 */
export async function kaldiRecords(
  root: string,
  { files }: FolderEntries,
  { audioFolder = root }: SpeechDataOptions,
): Promise<SpeechRecord[]> {
  const table = async (name: string): Promise<ReadonlyMap<string, Entry> | undefined> =>
    files.includes(name) ? entriesOf(await textLines(join(root, name))) : undefined;
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
    const said = text?.get(id)?.value;
    const speaker = speakers?.get(id)?.value;
    const language = languages?.get(id)?.value;
    const duration = segments ? undefined : Number(durations?.get(id)?.value);
    return {
      ...rest,
      ...(said === undefined ? {} : { text: said }),
      ...(speaker === undefined ? {} : { speaker }),
      ...(language === undefined ? {} : { language }),
      ...(duration !== undefined && duration > 0 ? { duration } : {}),
      where: `${id} (${place})`,
    };
  });
}

interface Entry {
  readonly value: string | undefined;
  readonly place: string;
}

/** What a file says of each id. */
function entriesOf(lines: readonly TextLine[]): ReadonlyMap<string, Entry> {
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
    throw refused("the recording lies in one of Kaldi's archives, which are not read", 'Extract it with wav-copy.');
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
  // Kaldi writes an end of −1 for the end of the recording.
  return { audio, place, ...(to < 0 ? { span: { start: from } } : { span: spanOf(from, to, place)! }) };
}
