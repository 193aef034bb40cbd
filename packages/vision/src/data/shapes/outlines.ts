/** @file COCO's outlines: polygons and run-length encoding. @see https://github.com/cocodataset/cocoapi */

import { OnnxLoraError } from '@onnx-lora/sdk/data';
import type { Mask } from '../../augment/sample.ts';
import type { Shape } from '../imageRecord.ts';

/**
 * @file Rasterises polygons like pycocotools, on a fivefold grid. @see https://github.com/cocodataset/cocoapi,
 *   rleFrPoly
 */

const FINE = 5;
/** Most steps of an object's outlines, against outlines far outside of the image. */
const MOST_STEPS = 50_000_000;

/** A mask of the union of rings of alternating x and y, clipped. @throws OnnxLoraError `DATA_INVALID` for huge rings */
export function maskOfPolygons(rings: readonly (readonly number[])[], width: number, height: number): Mask {
  const data = new Uint8Array(width * height);
  let steps = 0;
  for (const ring of rings) {
    const corners = cornersOf(ring);
    steps += lengthOf(corners);
    if (!(steps <= MOST_STEPS)) {
      throw new OnnxLoraError(
        'DATA_INVALID',
        `An outline reaches too far outside of its image of ${width} x ${height}. Correct its coordinates.`,
      );
    }
    fill(data, crossings(corners, width, height), width, height);
  }
  return { width, height, data };
}

type Corner = readonly [x: number, y: number];

/** Corners on the fine grid, with the first one repeated. */
function cornersOf(ring: readonly number[]): Corner[] {
  const corners: Corner[] = [];
  for (let i = 0; i + 1 < ring.length; i += 2)
    corners.push([Math.trunc(FINE * ring[i]! + 0.5), Math.trunc(FINE * ring[i + 1]! + 0.5)]);
  if (corners.length > 0) corners.push(corners[0]!);
  return corners;
}

function lengthOf(corners: readonly Corner[]): number {
  let length = 0;
  for (let i = 1; i < corners.length; i++) length += stepsBetween(corners[i - 1]!, corners[i]!) + 1;
  return length;
}

function stepsBetween([x0, y0]: Corner, [x1, y1]: Corner): number {
  return Math.max(Math.abs(x1 - x0), Math.abs(y1 - y0));
}

/** The first pixel below each crossing of a column's middle, counted by columns. */
function crossings(corners: readonly Corner[], width: number, height: number): number[] {
  const found: number[] = [];
  let before: Corner | undefined;
  for (let i = 1; i < corners.length; i++) {
    for (const point of line(corners[i - 1]!, corners[i]!)) {
      if (before && point[0] !== before[0]) {
        const x = (Math.min(point[0], before[0]) + 0.5) / FINE - 0.5;
        if (Number.isInteger(x) && x >= 0 && x < width) {
          const y = (Math.min(point[1], before[1]) + 0.5) / FINE - 0.5;
          found.push(x * height + Math.ceil(Math.min(Math.max(y, 0), height)));
        }
      }
      before = point;
    }
  }
  return found;
}

/** Points of a line, one per step along its longer side, rounded alike from either end. */
function* line(from: Corner, to: Corner): Generator<Corner> {
  const steps = stepsBetween(from, to);
  const isFlat = Math.abs(to[0] - from[0]) >= Math.abs(to[1] - from[1]);
  const [along, across] = isFlat ? ([0, 1] as const) : ([1, 0] as const);
  const isBackward = from[along] > to[along];
  const [start, end] = isBackward ? [to, from] : [from, to];
  const slope = steps === 0 ? 0 : (end[across] - start[across]) / steps;
  for (let i = 0; i <= steps; i++) {
    const t = isBackward ? steps - i : i;
    const u = start[along] + t;
    const v = Math.trunc(start[across] + slope * t + 0.5);
    yield isFlat ? [u, v] : [v, u];
  }
}

/** Fills from every odd crossing to the next. */
function fill(data: Uint8Array, found: readonly number[], width: number, height: number): void {
  const changes = Float64Array.from(found).sort();
  for (let i = 0; i < changes.length; i += 2) {
    const end = changes[i + 1] ?? width * height;
    for (let at = changes[i]!; at < end; at++) data[(at % height) * width + Math.floor(at / height)] = 1;
  }
}

/** A run-length encoded {@link Shape}. */
export type Rle = Extract<Shape, { kind: 'runs' }>;

/** Decodes run lengths, which add up to the mask's pixels. */
export function decodeRle({ height, width, counts }: Rle): Mask {
  const data = new Uint8Array(width * height);
  let at = 0;
  counts.forEach((count, i) => {
    const end = at + count;
    if (i % 2 === 0) at = end;
    // Columns to rows.
    for (; at < end; at++) data[(at % height) * width + Math.floor(at / height)] = 1;
  });
  return { width, height, data };
}

/** Encodes the nonzero pixels of a mask. */
export function encodeRle({ width, height, data }: Mask): Rle {
  const counts: number[] = [];
  let current = 0;
  let run = 0;
  for (let x = 0; x < width; x++) {
    for (let y = 0; y < height; y++) {
      const value = data[y * width + x] === 0 ? 0 : 1;
      if (value !== current) {
        counts.push(run);
        run = 0;
        current = value;
      }
      run++;
    }
  }
  if (run > 0) counts.push(run);
  return { kind: 'runs', height, width, counts };
}

/**
 * Parses COCO's text form.
 * @throws OnnxLoraError `DATA_INVALID` for an invalid text, naming `place`
 */
export function parseCocoCounts(text: string, place: string): number[] {
  const counts: number[] = [];
  for (let at = 0; at < text.length;) {
    let value = 0;
    let scale = 1;
    let digit: number;
    do {
      digit = text.charCodeAt(at++) - 48;
      // A count of 32 bits has at most seven digits.
      if (!(digit >= 0 && digit < 64) || scale > 2 ** 30) throw malformed(place, at);
      value += (digit & 31) * scale;
      scale *= 32;
    } while (digit & 32);
    if (digit & 16) value -= scale;
    if (counts.length > 2) value += counts[counts.length - 2]!;
    if (value < 0) throw malformed(place, at);
    counts.push(value);
  }
  return counts;
}

/** Formats counts in COCO's text form. */
export function formatCocoCounts(counts: readonly number[]): string {
  let text = '';
  counts.forEach((count, i) => {
    let value = i > 2 ? count - counts[i - 2]! : count;
    for (;;) {
      const digit = value & 31;
      value >>= 5;
      const isLast = digit & 16 ? value === -1 : value === 0;
      text += String.fromCharCode(48 + (isLast ? digit : digit | 32));
      if (isLast) break;
    }
  });
  return text;
}

function malformed(place: string, at: number): OnnxLoraError {
  return new OnnxLoraError(
    'DATA_INVALID',
    `${place}: the run lengths are malformed at character ${at}. Write them with pycocotools, or as a list of counts.`,
  );
}
