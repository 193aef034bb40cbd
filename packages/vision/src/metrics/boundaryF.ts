/** @file How well the outline of a mask is met. */

import type { Mask } from '../augment/sample.ts';

/** What distance still counts as met, as a share of the image's diagonal: that of the DAVIS benchmark. */
const TOLERANCE = 0.008;

/**
 * The boundary F measure of two masks of zeros and ones: the harmonic mean of how much of the found outline lies near the
 * true one (precision) and how much of the true one near the found (recall); near is within 0.8 % of the image's diagonal.
 * 1 where neither has an outline, 0 where only one has.
 *
 * @see https://doi.org/10.1109/CVPR.2016.85 Perazzi et al., the measure F of the DAVIS benchmark
 */
export function boundaryF(found: Mask, truth: Mask): number {
  const { width, height } = truth;
  const reach = Math.ceil(TOLERANCE * Math.hypot(width, height));
  const [a, b] = [outline(found), outline(truth)];
  if (a.length === 0 && b.length === 0) return 1;
  if (a.length === 0 || b.length === 0) return 0;
  const disk = offsetsWithin(reach);
  const precision = near(a, b, truth, disk) / a.length;
  const recall = near(b, a, truth, disk) / b.length;
  return precision + recall === 0 ? 0 : (2 * precision * recall) / (precision + recall);
}

/** Pixels that differ from the one to the right, below, or both; in the last row and column from the one neighbour left. */
function outline({ width, height, data }: Mask): number[] {
  const pixels: number[] = [];
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at++) {
      const right = x + 1 < width ? 1 : 0;
      const below = y + 1 < height ? width : 0;
      const value = data[at]!;
      if (data[at + right] !== value || data[at + below] !== value || data[at + right + below] !== value)
        pixels.push(at);
    }
  }
  return pixels;
}

function offsetsWithin(reach: number): readonly (readonly [x: number, y: number])[] {
  const side = Array.from({ length: 2 * reach + 1 }, (_, i) => i - reach);
  const all = side.flatMap((y) => side.filter((x) => x * x + y * y <= reach * reach).map((x) => [x, y] as const));
  // The nearest first, since most are met at once.
  return all.sort(([ax, ay], [bx, by]) => ax * ax + ay * ay - (bx * bx + by * by));
}

/** How many of `pixels` have one of `others` within the disk. */
function near(
  pixels: readonly number[],
  others: readonly number[],
  { width, height }: Mask,
  disk: readonly (readonly [x: number, y: number])[],
): number {
  const there = new Uint8Array(width * height);
  for (const at of others) there[at] = 1;
  return pixels.filter((at) => {
    const [x, y] = [at % width, Math.floor(at / width)];
    return disk.some(([dx, dy]) => {
      const [nx, ny] = [x + dx, y + dy];
      return nx >= 0 && ny >= 0 && nx < width && ny < height && there[ny * width + nx] === 1;
    });
  }).length;
}
