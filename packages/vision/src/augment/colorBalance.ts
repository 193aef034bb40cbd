/**
 * @file Brightness, contrast, saturation and sharpness, bit for bit as Pillow's `ImageEnhance` changes them: the image is
 * blended with a picture that lacks the quality, and a factor above 1 goes beyond the image.
 */

import type { Image } from '../image/image.ts';

/** Blended with black. */
export function adjustBrightness(image: Image, factor: number): Image {
  return mapLevels(image, blendTable(factor, 0));
}

/** Blended with the mean gray of the image. */
export function adjustContrast(image: Image, factor: number): Image {
  const gray = grayOf(image);
  let sum = 0;
  for (const level of gray) sum += level;
  return mapLevels(image, blendTable(factor, Math.trunc(sum / gray.length + 0.5)));
}

/** Blended with the gray image. */
export function adjustSaturation(image: Image, factor: number): Image {
  const gray = grayOf(image);
  const share = Math.fround(factor);
  const data = new Uint8Array(image.data.length);
  for (let i = 0, at = 0; at < data.length; i++, at += 3) {
    const from = gray[i]!;
    data[at] = blend(from, image.data[at]!, share);
    data[at + 1] = blend(from, image.data[at + 1]!, share);
    data[at + 2] = blend(from, image.data[at + 2]!, share);
  }
  return { ...image, data };
}

/** Blended with the smoothed image: each pixel the mean of its neighbours (1/13 each) and itself (5/13). */
export function adjustSharpness(image: Image, factor: number): Image {
  const { width, height, data: from } = image;
  const share = Math.fround(factor);
  const row = width * 3;
  // Pixels at the border have no smooth value, and stay.
  const data = from.slice();
  for (let y = 1; y < height - 1; y++) {
    for (let at = y * row + 3; at < (y + 1) * row - 3; at++) {
      const above = at - row;
      const below = at + row;
      const around =
        from[above - 3]! + from[above]! + from[above + 3]! + from[at - 3]! + from[at + 3]! +
        from[below - 3]! + from[below]! + from[below + 3]!; // prettier-ignore
      const smooth = Math.floor((around + 5 * from[at]!) / 13 + 0.5);
      data[at] = blend(smooth, from[at]!, share);
    }
  }
  return { width, height, data };
}

/** Gray as `[height, width, 3]`. */
export function grayscale(image: Image): Image {
  const gray = grayOf(image);
  const data = new Uint8Array(image.data.length);
  for (let i = 0, at = 0; at < data.length; i++) {
    const level = gray[i]!;
    data[at++] = level;
    data[at++] = level;
    data[at++] = level;
  }
  return { ...image, data };
}

/** Every level by a table of 256. */
export function mapLevels(image: Image, table: Uint8Array): Image {
  const { data: from } = image;
  const data = new Uint8Array(from.length);
  for (let i = 0; i < from.length; i++) data[i] = table[from[i]!]!;
  return { ...image, data };
}

/** Luma of ITU-R 601 with 16 bits after the point: Pillow's `convert("L")`. */
function grayOf({ data }: Image): Uint8Array {
  const gray = new Uint8Array(data.length / 3);
  for (let i = 0, at = 0; i < gray.length; i++, at += 3) {
    gray[i] = (data[at]! * 19595 + data[at + 1]! * 38470 + data[at + 2]! * 7471 + 0x8000) >> 16;
  }
  return gray;
}

function blendTable(factor: number, from: number): Uint8Array {
  const share = Math.fround(factor);
  return Uint8Array.from({ length: 256 }, (_, level) => blend(from, level, share));
}

/** `from + share (to − from)` in float32, cut off to 0 … 255. */
function blend(from: number, to: number, share: number): number {
  const value = Math.fround(from + Math.fround(share * (to - from)));
  return value <= 0 ? 0 : value >= 255 ? 255 : Math.trunc(value);
}
