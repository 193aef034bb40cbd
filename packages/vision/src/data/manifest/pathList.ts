/** @file Lists of images as ImageNet has them: a path and a label per line. */

import { readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { OnnxLoraError } from '@onnx-lora/sdk';
import type { ImageDataOptions } from '../imageData.ts';
import type { ImageRecord } from '../imageRecord.ts';
import { imageInside } from '../imageInside.ts';

/**
 * Records of a text file with a path per line, and after it, separated by spaces or a tab, a label. A path without a label
 * is an image without one; lines that are empty or begin with `#` are passed over.
 *
 * @throws OnnxLoraError `DATA_INVALID` when there is no line, or one names a file outside of the folder
 */
export async function pathListRecords(
  file: string,
  { imageFolder = dirname(file) }: ImageDataOptions,
): Promise<ImageRecord[]> {
  const lines = (await readFile(file, 'utf8')).replace(/^\uFEFF/, '').split(/\r\n|\n|\r/);
  const records = lines.flatMap((line, i): ImageRecord[] => {
    const text = line.trim();
    if (text === '' || text.startsWith('#')) return [];
    const place = `${file}, line ${i + 1}`;
    // The label is the last word, so that paths may hold spaces; a tab is never part of a path.
    const { path, label } = /^(?<path>[^\t]+)\t+(?<label>.+)$/.exec(text)?.groups ??
      /^(?<path>.+\.\w{2,5})\s+(?<label>\S+)$/.exec(text)?.groups ?? { path: text };
    const record = { file: imageInside(imageFolder, path!.trim(), place), place };
    return [label === undefined ? record : { ...record, label: label.trim() }];
  });
  if (records.length > 0) return records;
  throw new OnnxLoraError('DATA_INVALID', `"${file}" names no images. Write a path and a label per line.`);
}
