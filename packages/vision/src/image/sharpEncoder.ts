/** @file Encodes pictures with sharp (libvips). */

import type { Image } from './image.ts';

/** The PNG file of a picture. */
export async function encodePng({ width, height, data }: Image): Promise<Uint8Array> {
  const { default: sharp } = await import('sharp');
  return sharp(data, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer();
}
