/**
 * @file The pixels inside a polygon, as pycocotools finds them: the outline is walked on a grid five times as fine, and where it
 * crosses the middle of a column of pixels, inside and outside change. @see https://github.com/cocodataset/cocoapi, rleFrPoly
 */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { Mask } from '../../augment/sample.ts';

/** Steps of the fine grid in a pixel. */
const FINE = 5;
/** Most steps along the outlines of one object: outlines far outside of their image would take for ever. */
const MOST_STEPS = 50_000_000;

/**
 * A mask of zeros and ones: what lies in any of the rings, each a list of alternating x and y. Parts outside of the image are cut
 * off.
 *
 * @throws OnnxLoraError `DATA_INVALID` when a ring is longer than any image's
 */
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

/** Corners on the fine grid, the first again at the end. */
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

/** For every place where the outline crosses a column's middle, the first pixel below it, counted column by column. */
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

/** The points of a straight line, one per step along its longer side, rounded the same way from either end. */
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

/** Sets pixels from every odd crossing to the next. */
function fill(data: Uint8Array, found: readonly number[], width: number, height: number): void {
  const changes = Float64Array.from(found).sort();
  for (let i = 0; i < changes.length; i += 2) {
    const end = changes[i + 1] ?? width * height;
    for (let at = changes[i]!; at < end; at++) data[(at % height) * width + Math.floor(at / height)] = 1;
  }
}
