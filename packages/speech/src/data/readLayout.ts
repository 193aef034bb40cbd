/** @file Recognises how a folder or file of recordings is laid out, and reads it into records. */

import { stat } from 'node:fs/promises';
import { basename, extname, join } from 'node:path';
import { OnnxLoraError } from '@onnx-lora/sdk';
import { type FolderEntries, readFolder, readTable, type Split, splitNames, tableEndings } from '@onnx-lora/sdk/data';
import { isAudio } from './audioFile.ts';
import { classRecords, plainRecords } from './layouts/audioFolders.ts';
import { isKaldi, kaldiRecords } from './layouts/kaldi.ts';
import { libriSpeechRecords } from './layouts/libriSpeech.ts';
import { manifestRecords } from './layouts/manifest.ts';
import type { SpeechRecord } from './speechRecord.ts';
import type { SpeechDataOptions } from './speechSource.ts';

/** Names of manifests that are looked for in a folder; the first that is there wins. */
const manifestNames = ['manifest', 'metadata', 'labels'] as const;
const endings: readonly string[] = [...tableEndings, '.json'];
/** Where Common Voice keeps its recordings, and what it calls all sentences that listeners have approved. */
const CLIPS = 'clips';
const VALIDATED = 'validated.tsv';

/**
 * Records of a file or folder, as its layout says. Whether files exist that a manifest names is not looked at.
 *
 * @throws OnnxLoraError `FILE_NOT_FOUND`; `DATA_INVALID`, naming what is wrong
 */
export async function readLayout(path: string, options: SpeechDataOptions = {}): Promise<readonly SpeechRecord[]> {
  const found = await stat(path).catch(() => undefined);
  if (!found?.isFile()) return readDataFolder(path, options);
  if (endings.includes(extname(path).toLowerCase())) return manifestRecords(await readTable(path), options);
  throw new OnnxLoraError(
    'DATA_INVALID',
    `"${path}" is no data that can be read: manifests end in ${endings.join(', ')}. Give a manifest, or a folder of recordings.`,
  );
}

async function readDataFolder(root: string, options: SpeechDataOptions): Promise<readonly SpeechRecord[]> {
  const entries = await readFolder(root);
  const described = await readDescribed(root, entries, options);
  if (described) return described;
  const parts = await splitFolders(root, entries, options);
  if (parts) return parts;
  return entries.files.some(isAudio) ? plainRecords(root, entries) : classRecords(root, entries);
}

/** Records of a folder that says itself what is in it; undefined for any other. */
async function readDescribed(
  root: string,
  entries: FolderEntries,
  options: SpeechDataOptions,
): Promise<readonly SpeechRecord[] | undefined> {
  if (isKaldi(entries)) return kaldiRecords(root, entries, options);
  const manifest = manifestNames
    .flatMap((name) => endings.map((ending) => name + ending))
    .find((name) => entries.files.includes(name));
  if (manifest !== undefined) return manifestRecords(await readTable(join(root, manifest)), options);
  return (await manifestsOfSplits(root, entries, options)) ?? libriSpeechRecords(root, entries);
}

/** Records of `train.tsv`, `dev_manifest.json` and the like, as of Common Voice and NeMo; undefined where there are none. */
async function manifestsOfSplits(
  root: string,
  { files, folders }: FolderEntries,
  options: SpeechDataOptions,
): Promise<readonly SpeechRecord[] | undefined> {
  const isCommonVoice = folders.includes(CLIPS) && files.some((name) => name.endsWith('.tsv'));
  const named = files
    .map((name) => ({ name, split: splitOfManifest(name) }))
    .filter(({ split }) => split !== undefined);
  const manifests =
    named.length === 0 && isCommonVoice && files.includes(VALIDATED)
      ? [{ name: VALIDATED, split: 'train' as const }]
      : named;
  if (manifests.length === 0) return undefined;
  const parts: (readonly SpeechRecord[])[] = [];
  for (const { name, split } of manifests) {
    // Common Voice's sentences hold quotes that stand for themselves.
    const table = await readTable(join(root, name), { hasQuotes: !isCommonVoice });
    const records = manifestRecords(table, options, isCommonVoice ? join(root, CLIPS) : root);
    parts.push(records.map((record): SpeechRecord => ({ ...record, split: split! })));
  }
  return parts.flat();
}

/** The split that a manifest's name names: `train.tsv`, `dev_manifest.json`, `manifest-test.jsonl`. */
function splitOfManifest(name: string): Split | undefined {
  const ending = extname(name).toLowerCase();
  if (!endings.includes(ending)) return undefined;
  const words = basename(name, extname(name)).toLowerCase().split(/[-_.]/);
  const [word, ...more] = words.filter((each) => !['manifest', 'metadata', 'data'].includes(each));
  return more.length === 0 ? splitNames.get(word ?? '') : undefined;
}

/** Records of `train` and the other splits' folders, each of any layout; undefined where they are classes like any other. */
async function splitFolders(
  root: string,
  { folders }: FolderEntries,
  options: SpeechDataOptions,
): Promise<readonly SpeechRecord[] | undefined> {
  const splits = folders.map((name) => ({ name, split: splitNames.get(name.toLowerCase()) }));
  const named = splits.filter(({ split }) => split !== undefined);
  if (named.length === 0) return undefined;
  const parts: (readonly SpeechRecord[])[] = [];
  for (const { name, split } of named) {
    const folder = join(root, name);
    const entries = await readFolder(folder);
    const described = await readDescribed(folder, entries, options);
    // A folder named train that holds recordings itself is a class like any other, unless its neighbours are splits too.
    const isPlain = entries.files.some(isAudio);
    if (!described && isPlain && (named.length < folders.length || named.length === 1)) return undefined;
    const records = described ?? (await (isPlain ? plainRecords(folder, entries) : classRecords(folder, entries)));
    parts.push(records.map((record): SpeechRecord => ({ ...record, split: split! })));
  }
  return parts.flat();
}
