/** @file Detects the layout of image data and reads its records. */

import { dirname, extname, join, mostText, stat } from '@onnx-lora/sdk/platform';
import { OnnxLoraError } from '@onnx-lora/sdk';
import { quotedNames } from '@onnx-lora/sdk/tasks';
import {
  classFolders,
  fileInside,
  type FolderEntries,
  type FolderLayouts,
  manifestEndings,
  locatedLines,
  readFolder,
  readFolders,
  readSplits,
  readTable,
  readText,
  type Split,
  splitNames,
  stemOf,
  tableEndings,
  tableOf,
} from '@onnx-lora/sdk/data';
import { imageEndings, isImage } from '../image/imageFile.ts';
import { cocoFilesIn, cocoRecords, isCoco } from './coco.ts';
import { cvatFolder } from './cvat.ts';
import type { ImageDataOptions, ImageRecord } from './imageRecord.ts';
import { isLabelStudio, labelStudioRecords } from './labelStudio.ts';
import { manifestRecords } from './manifest.ts';
import { vocFolder } from './voc.ts';
import { yoloFolder } from './yolo.ts';

/** Records of any layout; files are not checked. @throws OnnxLoraError `FILE_NOT_FOUND`, `DATA_INVALID` */
export async function readLayout(path: string, options: ImageDataOptions = {}): Promise<readonly ImageRecord[]> {
  const found = await stat(path).catch(() => undefined);
  return found?.isFile() ? readManifest(path, options) : readFolders(path, layouts(options));
}

async function readManifest(file: string, options: ImageDataOptions): Promise<readonly ImageRecord[]> {
  await requireReadable(file);
  const ending = extname(file).toLowerCase();
  if (tableEndings.includes(ending)) return manifestRecords(await readTable(file), options);
  if (ending === '.txt') return pathListRecords(file, options);
  if (ending !== '.json') {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `"${file}" is no data that can be read: manifests end in ${[...manifestEndings, '.txt'].join(', ')}. Give a manifest, or a folder of images.`,
    );
  }
  const json = await readJson(file);
  if (isCoco(json)) return cocoRecords(json, file, options);
  if (isLabelStudio(json)) return labelStudioRecords(json, file, options);
  if (Array.isArray(json))
    return manifestRecords(tableOf(file, json, (i) => `entry ${i + 1}`), options); // prettier-ignore
  throw new OnnxLoraError(
    'DATA_INVALID',
    `"${file}" is neither a COCO file, which has "images" and "annotations", nor a list of images. Give a manifest, a COCO file or a folder.`,
  );
}

/** @throws OnnxLoraError `DATA_INVALID` for a file beyond the longest string */
async function requireReadable(file: string): Promise<void> {
  // A missing file is reported by its reader.
  const { size } = await stat(file).catch(() => ({ size: 0 }));
  if (size <= mostText) return;
  throw new OnnxLoraError(
    'DATA_INVALID',
    `"${file}" has ${size} bytes, more than can be read at once (${mostText}). Divide it into several files.`,
  );
}

async function readJson(file: string): Promise<unknown> {
  const text = await readText(file, mostText);
  try {
    return JSON.parse(text);
  } catch (cause) {
    const { message } = cause as Error;
    throw new OnnxLoraError('DATA_INVALID', `Cannot read "${file}" as JSON: ${message}. Correct the file.`, { cause });
  }
}

/** Records of ImageNet's path lists: a path and an optional label per line; `#` begins a comment. */
async function pathListRecords(
  file: string,
  { imageFolder = dirname(file) }: ImageDataOptions,
): Promise<ImageRecord[]> {
  const lines = (await locatedLines(file)).filter(({ text }) => !text.startsWith('#'));
  if (lines.length === 0)
    throw new OnnxLoraError('DATA_INVALID', `"${file}" names no images. Write a path and a label per line.`);
  return lines.map(({ text, place }) => {
    // The label is the last word, so paths may contain spaces, but not tabs.
    const { path, label } = /^(?<path>[^\t]+)\t+(?<label>.+)$/.exec(text)?.groups ??
      /^(?<path>.+\.\w{2,5})\s+(?<label>\S+)$/.exec(text)?.groups ?? { path: text };
    const record = { file: fileInside(imageFolder, path!.trim(), place, 'imageFolder'), place };
    return label === undefined ? record : { ...record, label: label.trim() };
  });
}

const imageFiles = { noun: 'images', endings: imageEndings };

const layouts = (options: ImageDataOptions): FolderLayouts<ImageRecord> => ({
  ...imageFiles,
  manifest: (file) => readManifest(file, options),
  own: [(root, entries) => cocoFolder(root, entries, options), yoloFolder, cvatFolder, vocFolder, maskFolderRecords],
  isPlain: ({ files, folders }) => folders.length === 0 && files.some(isImage),
  plain: (root, { files }) => imagesIn(root, files),
  classes: async (root, entries) => {
    const [cat, dog] = [join(root, 'cat', '1.png'), join(root, 'dog', '1.png')];
    const advice = `Put the images of each class into their own folder: "${cat}", "${dog}"; or name them in a manifest.`;
    const classes = await classFolders(root, entries, imageFiles, advice);
    return classes.flatMap(({ label, folder, entries: { files } }) =>
      imagesIn(folder, files).map((record) => ({ ...record, label })),
    );
  },
});

function imagesIn(folder: string, files: readonly string[]): ImageRecord[] {
  return files.filter(isImage).map((name) => ({ file: join(folder, name), place: join(folder, name) }));
}

async function cocoFolder(
  root: string,
  entries: FolderEntries,
  options: ImageDataOptions,
): Promise<ImageRecord[] | undefined> {
  const parts = await cocoFilesIn(root, entries);
  if (parts.length === 0) return undefined;
  const records: ImageRecord[] = [];
  for (const { file, split } of parts)
    for (const record of await readManifest(file, options))
      records.push(split === undefined ? record : { ...record, split });
  return records;
}

const imageFolders = ['images', 'image', 'imgs', 'img', 'JPEGImages'] as const;
const maskFolders = ['masks', 'mask', 'annotations', 'labels', 'SegmentationClass', 'SegmentationObject'] as const;
const suffixes = ['', '_mask', '-mask', '_seg', '_label', '_labelIds'] as const;

/**
 * Records of `root/images` and `root/masks`, or their `train`, `validation` …, matched by name; undefined without such
 * folders.
 * @throws OnnxLoraError `DATA_INVALID` for an image without a mask
 */
async function maskFolderRecords(
  root: string,
  { folders }: FolderEntries,
): Promise<readonly ImageRecord[] | undefined> {
  const images = imageFolders.find((name) => folders.includes(name));
  const masks = maskFolders.find((name) => folders.includes(name));
  if (images === undefined || masks === undefined) return undefined;
  const [imageRoot, maskRoot] = [join(root, images), join(root, masks)];
  const [imagesThere, masksThere] = await Promise.all([readFolder(imageRoot), readFolder(maskRoot)]);
  if (imagesThere.files.some(isImage) && masksThere.files.some(isImage))
    return withMasks(imageRoot, imagesThere.files, maskRoot, masksThere.files);
  const parts = imagesThere.folders.flatMap((name): [string, Split][] => {
    const split = splitNames.get(name.toLowerCase());
    return split !== undefined && masksThere.folders.includes(name) ? [[name, split]] : [];
  });
  const records = await readSplits(parts, async (name) => {
    const [from, to] = [join(imageRoot, name), join(maskRoot, name)];
    return withMasks(from, (await readFolder(from)).files, to, (await readFolder(to)).files);
  });
  return records?.length === 0 ? undefined : records;
}

function withMasks(
  folder: string,
  files: readonly string[],
  maskFolder: string,
  masks: readonly string[],
): ImageRecord[] {
  const byStem = new Map(masks.filter(isImage).map((name) => [stemOf(name), name]));
  const maskOf = (name: string): string | undefined =>
    suffixes.map((suffix) => byStem.get(stemOf(name) + suffix)).find((each) => each !== undefined);
  const images = files.filter(isImage);
  const missing = images.filter((name) => maskOf(name) === undefined);
  if (missing.length > 0) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `${missing.length} of the ${images.length} images of "${folder}" have no mask in "${maskFolder}": ${quotedNames(missing)}. Name a mask as its image ("${stemOf(missing[0]!)}.png"), or take the image out of the folder.`,
    );
  }
  return images.map((name) => {
    const file = join(folder, name);
    return { file, place: file, mask: join(maskFolder, maskOf(name)!) };
  });
}
