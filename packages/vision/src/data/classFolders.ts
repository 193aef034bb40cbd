/** @file Images in a folder per class. */

import { join } from 'node:path';
import { OnnxLoraError } from '@onnx-lora/sdk';
import { listed } from '@onnx-lora/sdk/tasks';
import { readFolder } from '@onnx-lora/sdk/data';
import { imageEndings } from '../image/imageFormat.ts';
import { isImage } from './isImage.ts';
import type { ImageRecord } from './imageRecord.ts';

/**
 * Records of `root/<class>/*.png`. Hidden files and folders, files directly under the root and files of other endings are passed
 * over. The order depends on names only, so it is the same everywhere.
 *
 * @throws OnnxLoraError `FILE_NOT_FOUND` when the folder does not exist, `DATA_INVALID` when it has no class folders, or a class
 * without images
 */
export async function classRecords(root: string): Promise<ImageRecord[]> {
  const { folders: classes } = await readFolder(root);
  if (classes.length === 0) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `"${root}" has no class folders. Put the images of each class into a folder of its own: "${join(root, 'cat', '1.png')}", "${join(root, 'dog', '1.png')}"; or name them in a manifest.`,
    );
  }
  const records: ImageRecord[] = [];
  for (const label of classes) {
    const folder = join(root, label);
    for (const name of await imagesIn(folder)) {
      const file = join(folder, name);
      records.push({ file, place: file, label });
    }
  }
  return records;
}

async function imagesIn(folder: string): Promise<string[]> {
  const { files, folders } = await readFolder(folder);
  const images = files.filter(isImage);
  if (images.length > 0) return images;
  const found =
    folders.length > 0
      ? `it holds the folders ${listed(folders)}, and images must lie directly in their class's folder`
      : files.length > 0
        ? `it holds ${listed(files)}, and known endings are ${imageEndings.join(', ')}`
        : 'it is empty';
  throw new OnnxLoraError(
    'DATA_INVALID',
    `The class folder "${folder}" has no images: ${found}. Add images, or remove the folder.`,
  );
}
