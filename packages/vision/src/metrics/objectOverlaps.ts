/** @file Overlaps of found and true objects, as COCO's: of boxes, and of masks by their run lengths. */

import type { Rle } from '../data/shapes/outlines.ts';

/** Left, top, width and height in pixels. */
export type Extent = readonly [x: number, y: number, width: number, height: number];

interface Placed {
  readonly box: Extent;
  readonly mask?: Rle;
}

interface PlacedTruth extends Placed {
  readonly crowd?: boolean;
}

/** Intersection over union of boxes, `[found][true]`; over the found one's area for a crowd. */
export function boxOverlaps(found: readonly Placed[], truths: readonly PlacedTruth[]): number[][] {
  return found.map(({ box: a }) =>
    truths.map(({ box: b, crowd }) => {
      const both = intersectionOf(a, b);
      const own = a[2] * a[3];
      return both === 0 ? 0 : both / (crowd === true ? own : own + b[2] * b[3] - both);
    }),
  );
}

/** Area that two boxes share. */
function intersectionOf(a: Extent, b: Extent): number {
  const width = Math.min(a[0] + a[2], b[0] + b[2]) - Math.max(a[0], b[0]);
  const height = Math.min(a[1] + a[3], b[1] + b[3]) - Math.max(a[1], b[1]);
  return width <= 0 || height <= 0 ? 0 : width * height;
}

/** Intersection over union of masks, `[found][true]`; over the found one's area for a crowd. */
export function maskOverlaps(found: readonly Placed[], truths: readonly PlacedTruth[]): number[][] {
  return found.map(({ mask: a }) =>
    truths.map(({ mask: b, crowd }) => {
      if (!a || !b || a.width !== b.width || a.height !== b.height) return 0;
      const { both, first, second } = pixelsOf(a.counts, b.counts);
      return both === 0 ? 0 : both / (crowd === true ? first : first + second - both);
    }),
  );
}

/** Pixels of two masks, and those that they share. */
function pixelsOf(a: readonly number[], b: readonly number[]): { both: number; first: number; second: number } {
  let [both, first, second, i, j] = [0, 0, 0, 0, 0];
  let [left, right] = [a[0] ?? 0, b[0] ?? 0];
  while (i < a.length && j < b.length) {
    const run = Math.min(left, right);
    if (i & 1) first += run;
    if (j & 1) second += run;
    if (i & j & 1) both += run;
    left -= run;
    right -= run;
    if (left === 0) left = a[++i] ?? 0;
    if (right === 0) right = b[++j] ?? 0;
  }
  return { both, first, second };
}
