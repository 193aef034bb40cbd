/** @file Masks of objects: of queries in pixels of the picture, true ones as tensors, and outlines as polygons. */

import { OnnxLoraError, tensor, type Feeds, type Tensor } from '@onnx-lora/sdk';
import type { Mask } from '../../augment/sample.ts';
import type { ImageRecord } from '../../data/imageRecord.ts';
import type { Rle } from '../../data/shapes/outlines.ts';
import type { Size } from '../../preprocess/imagePlan.ts';
import type { Frame } from './frames.ts';

/** Scores of a query's mask before the sigmoid, `[rows, columns]`. */
export interface MaskScores {
  readonly rows: number;
  readonly columns: number;
  readonly data: Float32Array;
}

/** Mean certainty of the pixels that a mask has; 0 of an empty one. */
export function certaintyOf({ data }: MaskScores): number {
  let [sum, count] = [0, 0];
  for (const score of data) {
    if (score <= 0) continue;
    sum += 1 / (1 + Math.exp(-score));
    count++;
  }
  return count === 0 ? 0 : sum / count;
}

/**
 * The picture's pixels that are more likely an object's than not: scores at pixels' centers, bilinear between those of the
 * mask.
 */
export function maskInImage(scores: MaskScores, { width, height, geometry: { scale, shift, input } }: Frame): Mask {
  const mask: Mask = { ...input, data: new Uint8Array(input.width * input.height) };
  const across = placesAlong({ size: input.width, scale: (scale.x * scores.columns) / width, shift: (shift.x * scores.columns) / width, most: scores.columns }); // prettier-ignore
  const down = placesAlong({ size: input.height, scale: (scale.y * scores.rows) / height, shift: (shift.y * scores.rows) / height, most: scores.rows }); // prettier-ignore
  const { rows, columns } = reachOf(scores);
  for (let y = 0; y < input.height; y++) {
    if (down.low[y]! > rows[1] || down.low[y]! + 1 < rows[0]) continue;
    const [upper, lower] = [down.low[y]!, Math.min(down.low[y]! + 1, scores.rows - 1)];
    for (let x = 0; x < input.width; x++) {
      const left = across.low[x]!;
      if (left > columns[1] || left + 1 < columns[0]) continue;
      const right = Math.min(left + 1, scores.columns - 1);
      const at = (row: number, column: number): number => scores.data[row * scores.columns + column]!;
      const above = at(upper, left) + (at(upper, right) - at(upper, left)) * across.share[x]!;
      const below = at(lower, left) + (at(lower, right) - at(lower, left)) * across.share[x]!;
      if (above + (below - above) * down.share[y]! > 0) mask.data[y * input.width + x] = 1;
    }
  }
  return mask;
}

/** For each pixel the place before its center in the mask, and the share of the next one. */
function placesAlong({ size, scale, shift, most }: { readonly size: number; readonly scale: number; readonly shift: number; readonly most: number }) {
  const [low, share] = [new Int32Array(size), new Float32Array(size)];
  for (let i = 0; i < size; i++) {
    const at = Math.min(Math.max((i + 0.5) * scale + shift - 0.5, 0), most - 1);
    low[i] = Math.floor(at);
    share[i] = at - low[i]!;
  }
  return { low, share };
} // prettier-ignore

/** First and last row and column with a likely pixel; an empty range without one. */
function reachOf({ rows, columns, data }: MaskScores) {
  const reach = { rows: [rows, -2] as [number, number], columns: [columns, -2] as [number, number] };
  for (let i = 0; i < data.length; i++) {
    if (data[i]! <= 0) continue;
    const [row, column] = [Math.floor(i / columns), i % columns];
    reach.rows = [Math.min(reach.rows[0], row), Math.max(reach.rows[1], row)];
    reach.columns = [Math.min(reach.columns[0], column), Math.max(reach.columns[1], column)];
  }
  return reach;
}

/** Masks of a batch's objects for the loss: uint8 `[images, slots, height, width]`, padded below and on the right. */
export function maskTargets(images: readonly (readonly Mask[])[], slots: number, { width, height }: Size): Tensor {
  const size = height * width;
  const data = new Uint8Array(images.length * slots * size);
  images.forEach((masks, image) =>
    masks.forEach((mask, i) => {
      const start = (image * slots + i) * size;
      for (let row = 0; row < mask.height; row++)
        data.set(mask.data.subarray(row * mask.width, (row + 1) * mask.width), start + row * width);
    }),
  );
  return tensor('uint8', data, [images.length, slots, height, width]);
}

/** True masks of each image as a tensor: the number of runs of each mask, and the runs; padded with -1. */
export function runsOf(images: readonly (readonly Rle[])[]): Tensor {
  const rows = images.map((masks) => masks.flatMap(({ counts }) => [counts.length, ...counts]));
  const most = Math.max(1, ...rows.map(({ length }) => length));
  const data = new Float64Array(images.length * most).fill(-1);
  rows.forEach((row, i) => data.set(row, i * most));
  return tensor('float64', data, [images.length, most]);
}

/** Inverts {@link runsOf}, for images of these sizes. */
export function masksOfRuns({ runs }: Feeds, sizes: readonly Size[]): Rle[][] {
  const [, most = 0] = runs!.dims;
  return sizes.map(({ width, height }, image) => {
    const row = Array.from(runs!.data.subarray(image * most, (image + 1) * most), Number);
    const masks: Rle[] = [];
    for (let at = 0; at < row.length && row[at]! >= 0; at += row[at]! + 1)
      masks.push({ kind: 'runs', width, height, counts: row.slice(at + 1, at + 1 + row[at]!) });
    return masks;
  });
}

/** @throws OnnxLoraError `DATA_INVALID` for an object without an outline, naming it */
export function requireOutlines(records: readonly ImageRecord[]): void {
  for (const { objects = [], place } of records)
    objects.forEach(({ shape }, i) => {
      if (shape) return;
      throw new OnnxLoraError(
        'DATA_INVALID',
        `${place}: object ${i + 1} has a box alone, and instance-segmentation learns outlines. Draw its outline (a polygon or run lengths of COCO, an outline of YOLO, a polygon of CVAT or Label Studio), or use object-detection.`,
      );
    });
}

/** Steps along the edges of pixels: right, down, left, up. */
const STEPS = [[1, 0], [0, 1], [-1, 0], [0, -1]] as const; // prettier-ignore

/**
 * The outlines of a mask's areas as rings of alternating x and y, along the edges of pixels; holes are filled. COCO's polygons
 * cannot have holes, so that run lengths are exact and these are for drawing.
 */
export function polygonsOf({ width, height, data }: Mask): number[][] {
  const isIn = (x: number, y: number): boolean =>
    x >= 0 && y >= 0 && x < width && y < height && data[y * width + x] !== 0;
  const seen = new Uint8Array(width * height);
  const rings: number[][] = [];
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      // An edge with nothing above that no ring went along is the top of a new area, or of what lies below a hole.
      if (!isIn(x, y) || isIn(x, y - 1) || seen[y * width + x]) continue;
      const ring = ringFrom(x, y, isIn, (left, top) => (seen[top * width + left] = 1));
      if (areaOf(ring) > 0) rings.push(ring);
    }
  return rings;
}

/** Goes around with the area on the right, from the upper left corner of a pixel. */
function ringFrom(
  startX: number,
  startY: number,
  isIn: (x: number, y: number) => boolean,
  alongTop: (x: number, y: number) => void,
): number[] {
  const ring: number[] = [];
  let [x, y, direction] = [startX, startY, 0];
  do {
    if (direction === 0) alongTop(x, y);
    const [dx, dy] = STEPS[direction]!;
    [x, y] = [x + dx, y + dy];
    // Pixels before the corner, on the left and on the right of the way.
    const [left, right] = [
      [[x, y - 1], [x, y]],
      [[x, y], [x - 1, y]],
      [[x - 1, y], [x - 1, y - 1]],
      [[x - 1, y - 1], [x, y - 1]],
    ][direction]!.map(([px, py]) => isIn(px!, py!)); // prettier-ignore
    const turn = left && right ? 3 : right ? 0 : 1;
    if (turn !== 0) ring.push(x, y);
    direction = (direction + turn) % 4;
  } while (x !== startX || y !== startY || direction !== 0);
  return ring;
}

/** Positive for a ring around an area, negative around a hole. */
function areaOf(ring: readonly number[]): number {
  let sum = 0;
  for (let i = 0; i < ring.length; i += 2) {
    const [x0, y0, x1, y1] = [ring[i]!, ring[i + 1]!, ring[(i + 2) % ring.length]!, ring[(i + 3) % ring.length]!];
    sum += x0 * y1 - x1 * y0;
  }
  return sum / 2;
}
