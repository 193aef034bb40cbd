/** @file Reads image data in any layout and splits them. */

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

/**
 * Reads data. A path may be a manifest (CSV, TSV, JSONL), a COCO file, a list of paths and labels; or a folder: with a
 * manifest, of class folders, in COCO's layout, of images with a folder of masks, of images alone, or with `train`,
 * `validation` and `test` folders of any of these. Given records, and the result of this function, are taken as they
 * are.
 * @example
 * const data = await readImageData('photos', { validation: 0.2 });
 * console.log(data.train.length, data.validation?.length);
 * @throws OnnxLoraError `FILE_NOT_FOUND`; `DATA_INVALID`, naming the file, the line and the remedy
 */
export function readImageData(source: ImageSource, options: ImageDataOptions = {}): Promise<ImageData> {
  return readData(images, source, options);
}

/** {@link splitRecords} with the records of an image kept together. */
export function splitImages(records: readonly ImageRecord[], fraction: number, seed: number): RecordSplit<ImageRecord> {
  return splitRecords(records, fraction, seed, (record) => ({ ...record, key: keyOf(record) }));
}

/** A record's sort key, independent of its place in the manifest, and without its long outlines. */
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
    // Own records are checked when they are loaded.
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

/** Drops repeated records. @throws OnnxLoraError `DATA_INVALID` for an image with two labels, values or splits */
function withoutRepeated(records: readonly ImageRecord[]): {
  readonly records: readonly ImageRecord[];
  readonly warnings: readonly string[];
} {
  const files = new Set<string>();
  const twice = new Set<string>();
  for (const { file } of records) (files.has(file) ? twice : files).add(file);
  const seen = new Map<string, ImageRecord>();
  const repeated: ImageRecord[] = [];
  let firstPlace = '';
  const kept = records.filter((record) => {
    const { file, text, mask, objects, points } = record;
    // Outlines make long keys.
    if (!twice.has(file)) return true;
    const key = JSON.stringify([file, text, mask, objects, points]);
    const before = seen.get(key);
    if (!before) {
      seen.set(key, record);
      return true;
    }
    if (!isSame(before, record)) throw contradiction(before, record);
    if (repeated.length === 0) firstPlace = before.place;
    repeated.push(record);
    return false;
  });
  const [first] = repeated;
  return {
    records: kept,
    warnings: first
      ? [`${first.place}: it says the same as ${firstPlace}. ${repeated.length} such lines are left out.`]
      : [],
  };
}

function isSame(a: ImageRecord, b: ImageRecord): boolean {
  return (['label', 'labels', 'values', 'group', 'split'] as const).every(
    (name) => JSON.stringify(a[name]) === JSON.stringify(b[name]),
  );
}

function contradiction(before: ImageRecord, record: ImageRecord): OnnxLoraError {
  const both = before.label !== undefined && record.label !== undefined && before.label !== record.label;
  return new OnnxLoraError(
    'DATA_INVALID',
    both
      ? `${record.place}: "${record.file}" has the label "${record.label}", but "${before.label}" at ${before.place}. Correct one of them; for several labels per image, list them in one line: a column "labels" with "${before.label}|${record.label}".`
      : `${record.place}: "${record.file}" is also at ${before.place}, with something else said of it. Remove one of them.`,
  );
}
