/** @file Posterize, solarize, autocontrast and equalize, bit for bit as Pillow's `ImageOps`. */

import type { Image } from '../image/image.ts';
import { mapLevels } from './colorBalance.ts';

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
