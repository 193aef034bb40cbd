/** @file Recognises how a folder or file of images is laid out, and reads it into records. */

import { constants } from 'node:buffer';
import { stat } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { OnnxLoraError } from '@onnx-lora/sdk';
import {
  type FolderEntries,
  readFolder,
  readTable,
  type Split,
  splitNames,
  tableEndings,
  tableOf,
} from '@onnx-lora/sdk/data';
import { classRecords } from './classFolders.ts';
import { cocoFilesIn } from './coco/cocoFiles.ts';
import { cocoRecords, isCoco } from './coco/cocoRecords.ts';
import { readJson } from './coco/readJson.ts';
import { isImage } from './isImage.ts';
import type { ImageDataOptions } from './imageData.ts';
import type { ImageRecord } from './imageRecord.ts';
import { manifestRecords } from './manifest/manifestRecords.ts';
import { pathListRecords } from './manifest/pathList.ts';
import { maskFolderRecords } from './maskFolders.ts';

/** Names of manifests that are looked for in a folder; the first that is there wins. */
const manifestNames = ['manifest', 'metadata', 'labels'] as const;

/**
 * Records of a file or folder, as its layout says. Whether files exist that a manifest names is not looked at.
 *
 * @throws OnnxLoraError `FILE_NOT_FOUND`; `DATA_INVALID`, naming what is wrong
 */
export async function readLayout(path: string, options: ImageDataOptions = {}): Promise<ImageRecord[]> {
  const found = await stat(path).catch(() => undefined);
  return found?.isFile() ? readManifestFile(path, options) : readDataFolder(path, options);
}

async function readManifestFile(file: string, options: ImageDataOptions): Promise<ImageRecord[]> {
  await requireReadable(file);
  const ending = extname(file).toLowerCase();
  if (tableEndings.includes(ending)) return manifestRecords(await readTable(file), options);
  if (ending === '.txt') return pathListRecords(file, options);
  if (ending === '.json') {
    const json = await readJson(file);
    if (isCoco(json)) return cocoRecords(json, file, options);
    if (Array.isArray(json))
      return manifestRecords(
        tableOf(file, json, (i) => `entry ${i + 1}`),
        options,
      );
    throw new OnnxLoraError(
      'DATA_INVALID',
      `"${file}" is neither a COCO file, which has "images" and "annotations", nor a list of images. Give a manifest, a COCO file or a folder.`,
    );
  }
  throw new OnnxLoraError(
    'DATA_INVALID',
    `"${file}" is no data that can be read: manifests end in ${[...tableEndings, '.json', '.txt'].join(', ')}. Give a manifest, or a folder of images.`,
  );
}

/** @throws OnnxLoraError `DATA_INVALID` for a file that is too large to be taken into memory */
async function requireReadable(file: string): Promise<void> {
  // That it cannot be asked is told by who reads it.
  const { size } = await stat(file).catch(() => ({ size: 0 }));
  if (size <= constants.MAX_STRING_LENGTH) return;
  throw new OnnxLoraError(
    'DATA_INVALID',
    `"${file}" has ${size} bytes, more than can be read at once (${constants.MAX_STRING_LENGTH}). Divide it into several files.`,
  );
}

async function readDataFolder(root: string, options: ImageDataOptions): Promise<ImageRecord[]> {
  const entries = await readFolder(root);
  const described = await readDescribed(root, entries, options);
  if (described) return described;
  const parts = await splitFolders(root, entries, options);
  if (parts) return parts;
  // Images beside each other that nothing says more about.
  if (entries.folders.length === 0 && entries.files.some(isImage)) return plainRecords(root, entries);
  return classRecords(root);
}

/** Records of a folder that holds a manifest, COCO's files, or masks beside images; undefined for any other. */
async function readDescribed(
  root: string,
  entries: FolderEntries,
  options: ImageDataOptions,
): Promise<ImageRecord[] | undefined> {
  const manifest = manifestNames
    .flatMap((name) => [...tableEndings, '.json'].map((ending) => name + ending))
    .find((name) => entries.files.includes(name));
  if (manifest !== undefined) {
    return readManifestFile(join(root, manifest), options).catch((cause: unknown) => {
      if (!(cause instanceof OnnxLoraError) || entries.folders.length === 0) throw cause;
      const hint = `If this file does not describe the images of "${root}", move it elsewhere, and the folders are read.`;
      throw new OnnxLoraError(cause.code, `${cause.message} ${hint}`, { cause });
    });
  }
  const coco = await cocoFilesIn(root, entries);
  if (coco.length > 0) {
    const parts: ImageRecord[] = [];
    for (const { file, split } of coco) {
      const records = await readManifestFile(file, options);
      for (const record of records) parts.push(split === undefined ? record : { ...record, split });
    }
    return parts;
  }
  return maskFolderRecords(root, entries);
}

/** Records of `train` and the other splits' folders, each of any layout; undefined where they are classes like any other. */
async function splitFolders(
  root: string,
  { folders }: FolderEntries,
  options: ImageDataOptions,
): Promise<ImageRecord[] | undefined> {
  const splits: { folder: string; split: Split; entries: FolderEntries; described: ImageRecord[] | undefined }[] = [];
  for (const name of folders) {
    const split = splitNames.get(name.toLowerCase());
    if (split === undefined) continue;
    const folder = join(root, name);
    const entries = await readFolder(folder);
    splits.push({ folder, split, entries, described: await readDescribed(folder, entries, options) });
  }
  const train = splits.find(({ split }) => split === 'train');
  const onlySplits = splits.length === folders.length;
  if (splits.length === 0) return undefined;
  // Without one to train on they may be classes; where nothing else is there, and they hold folders, they are parts to measure on.
  if (!train && !(onlySplits && splits.every(({ entries }) => !entries.files.some(isImage)))) return undefined;
  // A folder named train that holds images itself is a class like any other, unless all its neighbours are splits too.
  if (train && !train.described && train.entries.folders.length === 0 && !(onlySplits && splits.length > 1))
    return undefined;
  const parts: ImageRecord[] = [];
  for (const { folder, split, entries, described } of splits) {
    const isPlain = entries.folders.length === 0 && entries.files.some(isImage);
    const records = described ?? (isPlain ? plainRecords(folder, entries) : await classRecords(folder));
    for (const record of records) parts.push({ ...record, split });
  }
  return parts;
}

function plainRecords(root: string, { files }: FolderEntries): ImageRecord[] {
  return files.filter(isImage).map((name) => ({ file: join(root, name), place: join(root, name) }));
}
