/** @file Reads images with what is known of them, from any layout, and divides them into splits. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import {
  checkFraction,
  filesInTwoSplits,
  type FilesOfRecords,
  measuredOn,
  recordsBySplit,
  sharedBetweenSplits,
  sharedWarning,
  withoutMissing,
} from '@onnx-lora/sdk/data';
import type { ImageData, ImageDataOptions, ImageSource } from './imageData.ts';
import type { ImageRecord } from './imageRecord.ts';
import { withoutRepeated } from './manifest/repeatedRecords.ts';
import { readLayout } from './readLayout.ts';
import { splitImages } from './splitImages.ts';

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
export async function readImageData(source: ImageSource, options: ImageDataOptions = {}): Promise<ImageData> {
  checkFraction(options.validation);
  const data = await divided(await readSource(source, options), options);
  const parts = [data.train, data.validation, data.test].filter((records) => records !== undefined);
  const warnings = [...(data.warnings ?? []), ...(await sharedImages(parts, options.findDuplicates))];
  return warnings.length > 0 ? { ...data, warnings: [...new Set(warnings)] } : data;
}

async function divided(data: ImageData, options: ImageDataOptions): Promise<ImageData> {
  const { validation, evalSplit, seed = 0 } = options;
  if (typeof validation === 'string') {
    const other = measuredOn(await readSource(validation, options), evalSplit, 'images');
    return { ...data, validation: other.validation ?? other.train };
  }
  if (validation === undefined || evalSplit === 'test') return measuredOn(data, evalSplit, 'images');
  const { kept, held } = splitImages(data.train, validation, seed);
  if (held.length === 0) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `Nothing of "${data.root}" can be held out at a fraction of ${validation}: it has ${data.train.length} images, and every class and group must leave some to train on. Add images, raise the fraction, or give another folder for validation.`,
    );
  }
  return { ...data, train: kept, validation: held };
}

async function readSource(source: ImageSource, options: ImageDataOptions): Promise<ImageData> {
  if (typeof source === 'string') {
    const distinct = withoutRepeated(await readLayout(source, options));
    const present = await withoutMissing(distinct.records, filesOfImages, options.missingImages);
    return bySplit(source, present.records, [...distinct.warnings, ...present.warnings]);
  }
  if ('train' in source) return source;
  const records: ImageRecord[] = [];
  for await (const record of source) {
    records.push(checkedRecord(record, records.length + 1));
  }
  return bySplit('the given records', records, []);
}

/** A record that may come from JavaScript. */
function checkedRecord(record: Partial<ImageRecord>, number: number): ImageRecord {
  const { file, place = `record ${number}` } = record;
  if (typeof file === 'string') return { ...record, file, place };
  throw new OnnxLoraError(
    'DATA_INVALID',
    `${place}: it has no "file". A record names an image: { file: 'photos/1.jpg', label: 'cat' }.`,
  );
}

function bySplit(root: string, records: readonly ImageRecord[], warnings: readonly string[]): ImageData {
  return { root, ...recordsBySplit(records), ...(warnings.length > 0 ? { warnings } : {}) };
}

const filesOfImages: FilesOfRecords<ImageRecord> = {
  files: ({ file, mask }) => (mask === undefined ? [file] : [file, mask]),
  place: ({ place }) => place,
  what: 'images',
  remedy:
    "Correct the paths, say which folder they start from (imageFolder), or leave such images out (missingImages: 'skip').",
};

/**
 * Warnings about files of the same bytes, and groups of the same name, that are in two of the lists. Files that cannot be read are
 * passed over.
 */
export async function sharedImages(
  splits: readonly (readonly ImageRecord[])[],
  findDuplicates = true,
): Promise<string[]> {
  const sameFiles = findDuplicates ? await filesInTwoSplits(splits, ({ file }) => file) : [];
  const sameGroups = sharedBetweenSplits(splits, ({ group }) => group);
  return [
    ...sharedWarning(sameFiles, 'images are', ([[first], [second]]) => `"${first!.file}" and "${second!.file}"`),
    ...sharedWarning(sameGroups, 'groups are', ([[first]]) => `"${first!.group}"`),
  ];
}
