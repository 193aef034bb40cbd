/** @file Detects the layout of speech data and reads its records. */

import { stat } from 'node:fs/promises';
import { basename, extname, join } from 'node:path';
import { OnnxLoraError } from '@onnx-lora/sdk';
import {
  classFolders,
  type FolderEntries,
  type FolderLayouts,
  manifestEndings,
  locatedLines,
  readFolders,
  readSplits,
  readTable,
  readText,
  type Split,
  splitManifests,
  stemOf,
} from '@onnx-lora/sdk/data';
import { isKaldi, kaldiRecords, libriSpeechRecords } from './corpora.ts';
import { manifestRecords } from './manifest.ts';
import { audioEndings, isAudio, type SpeechDataOptions, type SpeechRecord } from './speechRecord.ts';

/** Common Voice's folder of recordings, and its list of all approved sentences. */
const CLIPS = 'clips';
const VALIDATED = 'validated.tsv';
const MAX_TRANSCRIPT = 1 << 20;

/** Records of any layout; files are not checked. @throws OnnxLoraError `FILE_NOT_FOUND`, `DATA_INVALID` */
export async function readLayout(path: string, options: SpeechDataOptions = {}): Promise<readonly SpeechRecord[]> {
  const found = await stat(path).catch(() => undefined);
  if (!found?.isFile()) return readFolders(path, layouts(options));
  if (manifestEndings.includes(extname(path).toLowerCase())) return manifestRecords(await readTable(path), options);
  throw new OnnxLoraError(
    'DATA_INVALID',
    `"${path}" is no data that can be read: manifests end in ${manifestEndings.join(', ')}. Give a manifest, or a folder of recordings.`,
  );
}

const audioFiles = { noun: 'recordings', endings: audioEndings };

const layouts = (options: SpeechDataOptions): FolderLayouts<SpeechRecord> => ({
  ...audioFiles,
  manifest: async (file) => manifestRecords(await readTable(file), options),
  own: [
    async (root, entries) => (isKaldi(entries) ? kaldiRecords(root, entries, options) : undefined),
    (root, entries) => manifestsOfSplits(root, entries, options),
    libriSpeechRecords,
  ],
  isPlain: ({ files }) => files.some(isAudio),
  plain: plainRecords,
  classes: classRecords,
});

/** Records of `train.tsv`, `dev_manifest.json` and the like, as in Common Voice and NeMo; undefined without them. */
async function manifestsOfSplits(
  root: string,
  entries: FolderEntries,
  options: SpeechDataOptions,
): Promise<readonly SpeechRecord[] | undefined> {
  const { files, folders } = entries;
  const isCommonVoice = folders.includes(CLIPS) && files.some((name) => name.endsWith('.tsv'));
  const named = splitManifests(entries);
  const isUndivided = named.length === 0 && isCommonVoice && files.includes(VALIDATED);
  return readSplits(isUndivided ? [[VALIDATED, 'train']] : named, async (name) => {
    // Common Voice does not quote its cells.
    const table = await readTable(join(root, name), { hasQuotes: !isCommonVoice });
    return manifestRecords(table, options, isCommonVoice ? join(root, CLIPS) : root);
  });
}

/** Records of recordings with `.txt` transcripts. @throws OnnxLoraError `DATA_INVALID` if only some have one */
async function plainRecords(root: string, { files }: FolderEntries): Promise<SpeechRecord[]> {
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
      ? (await readText(join(root, `${stemOf(name)}.txt`), MAX_TRANSCRIPT)).replaceAll(/\s+/g, ' ').trim()
      : '';
    records.push({ audio: join(root, name), where: join(root, name), ...(text === '' ? {} : { text }) });
  }
  return records;
}

/**
 * Records of `root/<class>/*.wav`. Folders such as Speech Commands' `_background_noise_` are skipped, and its lists
 * `validation_list.txt` and `testing_list.txt` give the splits.
 * @throws OnnxLoraError `DATA_INVALID` for no class folders, or a class without recordings
 */
async function classRecords(root: string, { files, folders }: FolderEntries): Promise<SpeechRecord[]> {
  const listed = new Map<string, Split>();
  for (const [list, split] of [['validation_list.txt', 'validation'] as const, ['testing_list.txt', 'test'] as const])
    if (files.includes(list)) for (const { text } of await locatedLines(join(root, list))) listed.set(text, split);
  const advice =
    'Give a folder with a manifest (metadata.csv) or with recordings, a "1.txt" with what is said beside "1.wav", or a folder of recordings for each class.';
  const known = { files, folders: folders.filter((name) => !name.startsWith('_')) };
  const records: SpeechRecord[] = [];
  for (const { label, folder, entries } of await classFolders(root, known, audioFiles, advice)) {
    for (const plain of await plainRecords(folder, entries)) {
      const record = { ...plain, labels: [label] };
      records.push(listed.size === 0 ? record : fromList(record, label, listed));
    }
  }
  return records;
}

/** Speech Commands names a recording after its speaker: `0a7c2a8d_nohash_0.wav`. */
function fromList(record: SpeechRecord, label: string, listed: ReadonlyMap<string, Split>): SpeechRecord {
  const name = basename(record.where);
  const speaker = /^(\w+)_nohash_/.exec(name)?.[1];
  const split = listed.get(`${label}/${name}`) ?? 'train';
  return { ...record, split, ...(speaker === undefined ? {} : { speaker }) };
}
