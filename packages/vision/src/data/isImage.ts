/** @file Which files are images. */

import { extname } from 'node:path';
import { imageEndings } from '../image/imageFormat.ts';

/** Whether a file's ending is that of an image. */
export function isImage(name: string): boolean {
  return imageEndings.includes(extname(name).toLowerCase());
}
