/** @file Small pictures for reports, as WebP files in memory. */

import sharp from 'sharp';
import type { Image } from '../image/image.ts';
import { resize } from '../preprocess/resize.ts';

/** The image with its longer edge at most `edge` pixels. */
export function shrunk(image: Image, edge: number): Image {
  const scale = edge / Math.max(image.width, image.height);
  if (scale >= 1) return image;
  const side = (length: number): number => Math.max(1, Math.round(length * scale));
  return resize(image, side(image.height), side(image.width), 'bilinear');
}

/** The bytes of a WebP file. */
export async function webp({ width, height, data }: Image): Promise<Uint8Array> {
  const bytes = await sharp(data, { raw: { width, height, channels: 3 } })
    .webp({ quality: 80 })
    .toBuffer();
  return new Uint8Array(bytes);
}
