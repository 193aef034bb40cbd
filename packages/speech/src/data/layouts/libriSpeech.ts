/** @file LibriSpeech and what is laid out like it: a folder per speaker and chapter, with a `.trans.txt` in each. */

import { basename, join } from 'node:path';
import { OnnxLoraError } from '@onnx-lora/sdk';
import { type FolderEntries, readFolder, type Split } from '@onnx-lora/sdk/data';
import { isAudio, stemOf } from '../audioFile.ts';
import type { SpeechRecord } from '../speechRecord.ts';
import { firstWord, textLines } from './textLines.ts';

const ENDING = '.trans.txt';
/** `LibriSpeech/train-clean-100/19/198`. */
const DEPTH = 4;
const splits: readonly (readonly [start: string, split: Split])[] = [
  ['train', 'train'],
  ['dev', 'validation'],
  ['test', 'test'],
];

/**
 * Records of a folder that holds LibriSpeech, one of its parts such as `train-clean-100`, a speaker or a chapter; undefined
 * for any other folder.
 *
 * @throws OnnxLoraError `DATA_INVALID` for a chapter whose recordings are not all there
 */
export async function libriSpeechRecords(root: string, entries: FolderEntries): Promise<SpeechRecord[] | undefined> {
  if (!(await isLibriSpeech(root, entries, DEPTH))) return undefined;
  const records: SpeechRecord[] = [];
  await addFolder(root, entries, DEPTH, splitOf(basename(root)), records);
  return records;
}

/** Whether the first folder of each folder leads to a chapter. */
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
  for (const { text: line, place } of await textLines(join(folder, name))) {
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
      // An utterance is called SPEAKER-CHAPTER-NUMBER.
      speaker: id.split('-', 1)[0]!,
      ...(split === undefined ? {} : { split }),
      where: `${join(folder, file)} (${place})`,
    });
  }
}

function splitOf(name: string): Split | undefined {
  return splits.find(([start]) => name.toLowerCase().startsWith(start))?.[1];
}
