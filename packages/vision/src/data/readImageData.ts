/** @file Reads images with what is known of them, from any layout, and divides them into splits. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import {
  type DataReader,
  filesInTwoSplits,
  type FilesOfRecords,
  givenRecords,
  readData,
  recordsBySplit,
  type RecordSplit,
  requireRecords,
  sharedBetweenSplits,
  sharedWarning,
  splitRecords,
  withoutMissing,
} from '@onnx-lora/sdk/data';
import type { ImageData, ImageDataOptions, ImageRecord, ImageSource } from './imageRecord.ts';
import { readLayout } from './readLayout.ts';
import { withoutRepeated } from './repeatedRecords.ts';

/**
 * Reads data. A path may be a folder of class folders; a manifest (CSV, TSV, JSONL) or a folder with one; a COCO file or a
 * folder as COCO publishes them; images with masks in a folder beside them; a list of paths and labels; a folder of images
 * alone; or `train`, `validation` and `test` folders of any of these. Records of the user's own and what this function gave
 * are taken as they are.
 *
 * @example
 * const data = await readImageData('photos', { validation: 0.2 });
 * console.log(data.train.length, data.validation?.length);
 *
 * @throws OnnxLoraError `FILE_NOT_FOUND`; `DATA_INVALID`, naming the file, the line and the remedy
 */
export function readImageData(source: ImageSource, options: ImageDataOptions = {}): Promise<ImageData> {
  return readData(images, source, options);
}

/** As `splitRecords`; records of one image are never divided. */
export function splitImages(records: readonly ImageRecord[], fraction: number, seed: number): RecordSplit<ImageRecord> {
  return splitRecords(records, fraction, seed, (record) => ({ ...record, key: keyOf(record) }));
}

/** What a record is sorted by. Nothing of where it stands in its manifest, nor outlines, which are long. */
function keyOf({ file, label, text, mask, points, group }: ImageRecord): string {
  return JSON.stringify([file, label, text, mask, points, group]);
}

const images: DataReader<ImageRecord, ImageData, ImageSource, ImageDataOptions> = {
  noun: 'images',
  remedy: 'raise the fraction',
  read: async (source, options) => {
    if (typeof source === 'object' && 'train' in source) return source;
    const isPath = typeof source === 'string';
    const distinct = isPath
      ? withoutRepeated(await readLayout(source, options))
      : { records: await givenRecords(source, checkedRecord), warnings: [] };
    requireRecords(distinct.records, source, 'images');
    // Whether records of the user's own have files is found when they are loaded.
    const present = isPath ? await withoutMissing(distinct.records, filesOfImages, options.missingImages) : distinct;
    return {
      root: isPath ? source : 'the given records',
      ...recordsBySplit(present.records),
      warnings: [...new Set([...distinct.warnings, ...present.warnings])],
    };
  },
  holdOut: ({ train }, fraction, { seed = 0 }) => ({
    ...splitImages(train, fraction, seed),
    whole: 'every class and group must leave some',
  }),
  shared: async (parts, _, { findDuplicates = true }) => {
    const sameFiles = findDuplicates ? await filesInTwoSplits(parts, ({ file }) => file) : [];
    const sameGroups = sharedBetweenSplits(parts, ({ group }) => group);
    return [
      ...sharedWarning(sameFiles, 'images are', ([[first], [second]]) => `"${first!.file}" and "${second!.file}"`),
      ...sharedWarning(sameGroups, 'groups are', ([[first]]) => `"${first!.group}"`),
    ];
  },
};

/** A record that may come from JavaScript. */
function checkedRecord(record: Partial<ImageRecord>, number: number): ImageRecord {
  const { file, place = `record ${number}` } = record;
  if (typeof file === 'string') return { ...record, file, place };
  throw new OnnxLoraError(
    'DATA_INVALID',
    `${place}: it has no "file". A record names an image: { file: 'photos/1.jpg', label: 'cat' }.`,
  );
}

const filesOfImages: FilesOfRecords<ImageRecord> = {
  files: ({ file, mask }) => (mask === undefined ? [file] : [file, mask]),
  place: ({ place }) => place,
  what: 'images',
  remedy:
    "Correct the paths, say which folder they start from (imageFolder), or leave such images out (missingImages: 'skip').",
};
