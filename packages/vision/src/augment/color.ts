/** @file Changes of colour and light, bit for bit as Pillow's `ImageEnhance` and `ImageOps` and, for the hue, its 8-bit HSV. */

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
function mapLevels(image: Image, table: Uint8Array): Image {
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

/** Keeps the highest `bits` of every level. */
export function posterize(image: Image, bits: number): Image {
  const mask = 256 - 2 ** (8 - bits);
  return mapLevels(
    image,
    tableOf((level) => level & mask),
  );
}

/** Inverts levels from `threshold` on. */
export function solarize(image: Image, threshold: number): Image {
  return mapLevels(
    image,
    tableOf((level) => (level < threshold ? level : 255 - level)),
  );
}

/** Stretches the levels of each channel to 0 … 255. */
export function autoContrast(image: Image): Image {
  return mapChannels(image, (counts) => {
    const low = counts.findIndex((count) => count > 0);
    const high = counts.findLastIndex((count) => count > 0);
    if (high <= low) return tableOf((level) => level);
    const scale = 255 / (high - low);
    const offset = -low * scale;
    return tableOf((level) => Math.max(0, Math.min(255, Math.trunc(level * scale + offset))));
  });
}

/** Spreads the levels of each channel so that all are about equally frequent. */
export function equalize(image: Image): Image {
  return mapChannels(image, (counts) => {
    const last = counts.findLast((count) => count > 0) ?? 0;
    const total = counts.reduce((sum, count) => sum + count, 0);
    const step = Math.floor((total - last) / 255);
    if (step === 0) return tableOf((level) => level);
    let sum = Math.floor(step / 2);
    return Uint8Array.from(counts, (count) => {
      const level = Math.min(255, Math.floor(sum / step));
      sum += count;
      return level;
    });
  });
}

function tableOf(map: (level: number) => number): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, level) => map(level));
}

/** Maps each channel by a table made from how often it has each level. */
function mapChannels(image: Image, table: (counts: readonly number[]) => Uint8Array): Image {
  const { data: from } = image;
  const data = new Uint8Array(from.length);
  for (let channel = 0; channel < 3; channel++) {
    const counts = Array.from({ length: 256 }, () => 0);
    for (let at = channel; at < from.length; at += 3) counts[from[at]!]!++;
    const map = table(counts);
    for (let at = channel; at < from.length; at += 3) data[at] = map[from[at]!]!;
  }
  return { ...image, data };
}

/**
 * @param turn from −0.5 to 0.5 of the colour circle
 */
export function adjustHue(image: Image, turn: number): Image {
  const { data: from } = image;
  const shift = Math.trunc(turn * 255);
  const data = new Uint8Array(from.length);
  for (let at = 0; at < from.length; at += 3) {
    const red = from[at]!;
    const green = from[at + 1]!;
    const blue = from[at + 2]!;
    const value = Math.max(red, green, blue);
    const range = Math.fround(value - Math.min(red, green, blue));
    if (range === 0) {
      data[at] = data[at + 1] = data[at + 2] = value;
      continue;
    }
    const saturation = Math.trunc(Math.fround(range / value) * 255);
    const hue = (hueOf(red, green, blue, value, range) + shift) & 255;
    writeRgb(data, at, hue, saturation, value);
  }
  return { ...image, data };
}

/** 0 to 255 around the circle; rounded to float32 where Pillow's `rgb2hsv` rounds. */
function hueOf(red: number, green: number, blue: number, value: number, range: number): number {
  const r = Math.fround((value - red) / range);
  const g = Math.fround((value - green) / range);
  const b = Math.fround((value - blue) / range);
  const sixths = Math.fround(red === value ? Math.fround(b - g) : green === value ? 2 + r - b : 4 + g - r);
  return Math.trunc(Math.fround((sixths / 6 + 1) % 1) * 255);
}

/** Pillow's `hsv2rgb`, all three from 0 to 255. */
function writeRgb(data: Uint8Array, at: number, hue: number, saturation: number, value: number): void {
  const share = Math.fround(saturation / 255);
  const sixth = Math.floor((hue * 6) / 255);
  const rest = Math.fround((hue * 6) / 255 - sixth);
  const p = Math.round(value * (1 - share));
  const q = Math.round(value * (1 - Math.fround(share * rest)));
  const t = Math.round(value * (1 - share * (1 - rest)));
  if (saturation === 0) return write(data, at, value, value, value);
  switch (sixth % 6) {
    case 0:
      return write(data, at, value, t, p);
    case 1:
      return write(data, at, q, value, p);
    case 2:
      return write(data, at, p, value, t);
    case 3:
      return write(data, at, p, q, value);
    case 4:
      return write(data, at, t, p, value);
    default:
      return write(data, at, value, p, q);
  }
}

function write(data: Uint8Array, at: number, red: number, green: number, blue: number): void {
  data[at] = red;
  data[at + 1] = green;
  data[at + 2] = blue;
}
