/** @file Images and masks in folders beside each other, matched by their names without the ending. */

import { basename, extname, join } from 'node:path';
import { OnnxLoraError } from '@onnx-lora/sdk';
import { listed } from '@onnx-lora/sdk/tasks';
import { type FolderEntries, readFolder, splitNames, type Split } from '@onnx-lora/sdk/data';
import { isImage } from './isImage.ts';
import type { ImageRecord } from './imageRecord.ts';

const imageFolders = ['images', 'image', 'imgs', 'img', 'JPEGImages'] as const;
const maskFolders = ['masks', 'mask', 'annotations', 'labels', 'SegmentationClass', 'SegmentationObject'] as const;
/** What masks add to the name of their image. */
const suffixes = ['', '_mask', '-mask', '_seg', '_label', '_labelIds'] as const;

/**
 * Records of `root/images` and `root/masks`, or of `train`, `validation` … in both of them; undefined where there are no
 * such folders.
 *
 * @throws OnnxLoraError `DATA_INVALID` when an image has no mask
 */
export async function maskFolderRecords(root: string, { folders }: FolderEntries): Promise<ImageRecord[] | undefined> {
  const images = imageFolders.find((name) => folders.includes(name));
  const masks = maskFolders.find((name) => folders.includes(name));
  if (images === undefined || masks === undefined) return undefined;
  const [imagesIn, masksIn] = await Promise.all([readFolder(join(root, images)), readFolder(join(root, masks))]);
  if (imagesIn.files.some(isImage) && masksIn.files.some(isImage))
    return pairs(join(root, images), imagesIn, join(root, masks), masksIn);
  const parts: ImageRecord[] = [];
  for (const name of imagesIn.folders) {
    const split = splitNames.get(name.toLowerCase());
    if (split === undefined || !masksIn.folders.includes(name)) continue;
    const [from, to] = [join(root, images, name), join(root, masks, name)];
    for (const each of pairs(from, await readFolder(from), to, await readFolder(to), split)) parts.push(each);
  }
  return parts.length > 0 ? parts : undefined;
}

function pairs(
  folder: string,
  { files }: FolderEntries,
  maskFolder: string,
  { files: masks }: FolderEntries,
  split?: Split,
): ImageRecord[] {
  const byStem = new Map(masks.filter(isImage).map((name) => [stemOf(name), name]));
  const missing: string[] = [];
  const records = files.filter(isImage).flatMap((name): ImageRecord[] => {
    const mask = suffixes.map((suffix) => byStem.get(stemOf(name) + suffix)).find((each) => each !== undefined);
    const file = join(folder, name);
    if (mask === undefined) missing.push(name);
    else return [{ file, place: file, mask: join(maskFolder, mask), ...(split ? { split } : {}) }];
    return [];
  });
  if (missing.length === 0) return records;
  throw new OnnxLoraError(
    'DATA_INVALID',
    `${missing.length} of the ${files.filter(isImage).length} images of "${folder}" have no mask in "${maskFolder}": ${listed(missing)}. Name a mask as its image ("${stemOf(missing[0]!)}.png"), or take the image out of the folder.`,
  );
}

function stemOf(name: string): string {
  return basename(name, extname(name));
}
