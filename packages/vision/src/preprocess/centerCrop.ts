/** @file Cuts the middle out of an image. */

import type { Image } from '../image/image.ts';

/**
 * The `[height, width]` in the middle of `image`, starting at `floor((image.height - height) / 2)` and the same for
 * the width; where the image is smaller, black (0) stands around it. This is `center_crop` of transformers.
 */
export function centerCrop(image: Image, height: number, width: number): Image {
  if (image.height === height && image.width === width) return image;
  // Negative where the image is smaller than the crop.
  const top = Math.floor((image.height - height) / 2);
  const left = Math.floor((image.width - width) / 2);
  const data = new Uint8Array(height * width * 3);
  const x0 = Math.max(0, left);
  const x1 = Math.min(image.width, left + width);
  for (let y = Math.max(0, top); y < Math.min(image.height, top + height); y++) {
    const row = y * image.width;
    data.set(image.data.subarray((row + x0) * 3, (row + x1) * 3), ((y - top) * width + x0 - left) * 3);
  }
  return { width, height, data };
}
