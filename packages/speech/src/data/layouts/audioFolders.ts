/** @file Recordings without a manifest: a folder per class, or each with a `.txt` of the same name beside it. */

import { basename, join } from 'node:path';
import { OnnxLoraError } from '@onnx-lora/sdk';
import { type FolderEntries, readFolder, type Split } from '@onnx-lora/sdk/data';
import { audioEndings, isAudio, stemOf } from '../audioFile.ts';
import type { SpeechRecord } from '../speechRecord.ts';
import { textLines, textOfFile } from './textLines.ts';

/** A transcript has some kilobytes; those of hours have some more. */
const MAX_TRANSCRIPT = 1 << 20;

/**
 * Records of the recordings in a folder, with the text beside them.
 *
 * @throws OnnxLoraError `DATA_INVALID` when only some have a text
 */
export async function plainRecords(
  root: string,
  { files }: FolderEntries,
  more: Partial<SpeechRecord> = {},
): Promise<SpeechRecord[]> {
  const texts = new Set(files.filter((name) => name.endsWith('.txt')));
  const names = files.filter(isAudio);
  const isTold = (name: string): boolean => texts.has(`${stemOf(name)}.txt`);
  const without = names.filter((name) => !isTold(name));
  if (without.length > 0 && without.length < names.length) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `${without.length} of the ${names.length} recordings of "${root}" have no text beside them, such as "${without[0]}". Write what is said into "${stemOf(without[0]!)}.txt", or take them out of the folder.`,
    );
  }
  const records: SpeechRecord[] = [];
  for (const name of names) {
    const text = isTold(name)
      ? (await textOfFile(join(root, `${stemOf(name)}.txt`), MAX_TRANSCRIPT)).replaceAll(/\s+/g, ' ').trim()
      : '';
    records.push({ audio: join(root, name), where: join(root, name), ...(text === '' ? {} : { text }), ...more });
  }
  return records;
}

/**
 * Records of `root/<class>/*.wav`. Folders that begin with `_` are passed over, such as Speech Commands' noise. Lists of names
 * in `validation_list.txt` and `testing_list.txt` say which records are not for training, as in that data.
 *
 * @throws OnnxLoraError `DATA_INVALID` when there are no class folders, or a class without recordings
 */
export async function classRecords(root: string, entries: FolderEntries): Promise<SpeechRecord[]> {
  const classes = entries.folders.filter((name) => !name.startsWith('_'));
  if (classes.length === 0) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `"${root}" has no recordings (${audioEndings.join(', ')}). Give a folder with a manifest (metadata.csv) or with recordings, a "1.txt" with what is said beside "1.wav", or a folder of recordings for each class.`,
    );
  }
  const listed = new Map<string, Split>();
  for (const [list, split] of [['validation_list.txt', 'validation'] as const, ['testing_list.txt', 'test'] as const])
    if (entries.files.includes(list)) for (const { text } of await textLines(join(root, list))) listed.set(text, split);
  const records: SpeechRecord[] = [];
  for (const label of classes) {
    const folder = join(root, label);
    const inner = await readFolder(folder);
    if (!inner.files.some(isAudio)) {
      throw new OnnxLoraError(
        'DATA_INVALID',
        `The class folder "${folder}" has no recordings; known endings are ${audioEndings.join(', ')}. Add some, or remove the folder.`,
      );
    }
    for (const record of await plainRecords(folder, inner, { labels: [label] }))
      records.push(listed.size === 0 ? record : fromList(record, label, listed));
  }
  return records;
}

/** Speech Commands calls a recording by its speaker: `0a7c2a8d_nohash_0.wav`. */
function fromList(record: SpeechRecord, label: string, listed: ReadonlyMap<string, Split>): SpeechRecord {
  const name = basename(record.where);
  const speaker = /^(\w+)_nohash_/.exec(name)?.[1];
  const split = listed.get(`${label}/${name}`) ?? 'train';
  return { ...record, split, ...(speaker === undefined ? {} : { speaker }) };
}
