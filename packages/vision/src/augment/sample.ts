/** @file A sample: an image with masks, boxes and points; and affine transforms, bit for bit as Pillow's. */

import { badSetting } from '@onnx-lora/sdk/data';
import type { Box, Point } from '../data/imageRecord.ts';
import type { Image } from '../image/image.ts';
import type { Plane } from '../preprocess/crop.ts';

/** A number per pixel: a class, or 0 and 1. */
export interface Mask {
  /** Width in pixels. */
  readonly width: number;
  /** Height in pixels. */
  readonly height: number;
  /** `[height, width]`, row by row. */
  readonly data: Uint8Array;
  /** Value beyond the image, as in the corners after a rotation; 0 by default. */
  readonly outside?: number;
}

/** An image, and annotations in its pixels. */
export interface Sample {
  /** Its pixels. */
  readonly image: Image;
  /** Masks of the image's size: a class map, or one per object. */
  readonly masks?: readonly Mask[];
  /** Boxes around objects. */
  readonly boxes?: readonly Box[];
  /** Points on objects. */
  readonly points?: readonly Point[];
  /** After a crop or rotation dropped boxes: the original index of each remaining box. */
  readonly boxIndices?: readonly number[];
  /** The same for points. */
  readonly pointIndices?: readonly number[];
}

interface Movement {
  readonly image: Image;
  readonly mask: (mask: Mask) => Mask;
  readonly point: (point: Point) => Point;
}

/** Moves a sample. Boxes become upright bounds, clipped; boxes below a pixel and points outside are dropped. */
export function moveSample(sample: Sample, { image, mask, point }: Movement): Sample {
  const { masks, boxes, points } = sample;
  return {
    ...sample,
    image,
    ...(masks && { masks: masks.map((each) => mask(each)) }),
    ...(boxes && keep('boxes', 'boxIndices', boxes, sample.boxIndices, (box) => moveBox(box, image, point))),
    ...(points && keep('points', 'pointIndices', points, sample.pointIndices, (each) => movePoint(each, image, point))),
  };
}

function keep<Item, List extends string, Indices extends string>(
  list: List,
  indices: Indices,
  items: readonly Item[],
  before: readonly number[] | undefined,
  move: (item: Item) => Item | undefined,
): { [name in List]: Item[] } & { [name in Indices]: number[] } {
  const moved = items.map((item, i) => ({ item: move(item), index: before?.[i] ?? i }));
  const left = moved.filter((each): each is { item: Item & {}; index: number } => each.item !== undefined);
  return { [list]: left.map(({ item }) => item), [indices]: left.map(({ index }) => index) } as never;
}

function moveBox([x0, y0, x1, y1]: Box, { width, height }: Image, point: Movement['point']): Box | undefined {
  const corners = [point([x0, y0]), point([x1, y0]), point([x0, y1]), point([x1, y1])];
  const xs = corners.map(([x]) => x);
  const ys = corners.map(([, y]) => y);
  const box: Box = [
    Math.max(0, Math.min(...xs)),
    Math.max(0, Math.min(...ys)),
    Math.min(width, Math.max(...xs)),
    Math.min(height, Math.max(...ys)),
  ];
  return box[2] - box[0] >= 1 && box[3] - box[1] >= 1 ? box : undefined;
}

function movePoint(point: Point, { width, height }: Image, move: Movement['point']): Point | undefined {
  const [x, y] = move(point);
  return x >= 0 && y >= 0 && x < width && y < height ? [x, y] : undefined;
}

/** Maps a pixel `(x, y)` of the result to its source `(a x + b y + c, d x + e y + f)`, in continuous coordinates. */
type AffineMap = readonly [a: number, b: number, c: number, d: number, e: number, f: number];

/** Red, green and blue, 0 to 255. */
export type Color = readonly [red: number, green: number, blue: number];

/** Interpolation between pixels. */
export type Interpolation = 'nearest' | 'bilinear';

export interface AffineOptions {
  readonly interpolation: Interpolation;
  readonly fill: Color;
}

/** Transforms a sample through `map` at the same size; masks by the nearest pixel. */
export function affineSample(sample: Sample, map: AffineMap, { interpolation, fill }: AffineOptions): Sample {
  const [a, b, c, d, e, f] = map;
  const determinant = a * e - b * d;
  return moveSample(sample, {
    image: interpolation === 'nearest' ? nearest(sample.image, 3, map, fill) : bilinear(sample.image, map, fill),
    mask: (mask): Mask => ({ ...mask, ...nearest(mask, 1, map, [mask.outside ?? 0]) }),
    // The map goes from result to source; points go the other way.
    point: ([x, y]) => [(e * (x - c) - b * (y - f)) / determinant, (a * (y - f) - d * (x - c)) / determinant],
  });
}

/** A rotation around the centre by `degrees`, counter-clockwise. */
export function rotationMap({ width, height }: Pick<Image, 'width' | 'height'>, degrees: number): AffineMap {
  // Exact for multiples of 90°, as Pillow's rounding to 15 digits makes them.
  const radians = -((((degrees % 360) + 360) % 360) * Math.PI) / 180;
  const cos = round15(Math.cos(radians));
  const sin = round15(Math.sin(radians));
  const [x, y] = [width / 2, height / 2];
  return [cos, sin, cos * -x + sin * -y + x, -sin, cos, -sin * -x + cos * -y + y];
}

function round15(value: number): number {
  return Math.round(value * 1e15) / 1e15;
}

function nearest(plane: Plane, channels: number, map: AffineMap, fill: readonly number[]): Plane {
  const { width, height, data: from } = plane;
  const data = filled(plane, channels, fill);
  // Pillow's fixed point: 16 fractional bits, and steps added up pixel by pixel.
  const [a, b, c, d, e, f] = map;
  const fixed = (value: number): number => Math.floor(value * 65536 + 0.5);
  const [stepX, stepY, rowX, rowY] = [fixed(a), fixed(d), fixed(b), fixed(e)];
  let startX = fixed(c + a * 0.5 + b * 0.5);
  let startY = fixed(f + d * 0.5 + e * 0.5);
  for (let y = 0, at = 0; y < height; y++, startX += rowX, startY += rowY) {
    let xx = startX;
    let yy = startY;
    for (let x = 0; x < width; x++, at += channels, xx += stepX, yy += stepY) {
      const inX = Math.floor(xx / 65536);
      const inY = Math.floor(yy / 65536);
      if (inX < 0 || inX >= width || inY < 0 || inY >= height) continue;
      const source = (inY * width + inX) * channels;
      for (let channel = 0; channel < channels; channel++) data[at + channel] = from[source + channel]!;
    }
  }
  return { width, height, data };
}

function bilinear(image: Image, [a, b, c, d, e, f]: AffineMap, fill: readonly number[]): Image {
  const { width, height, data: from } = image;
  const data = filled(image, 3, fill);
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at += 3) {
      const inX = a * (x + 0.5) + b * (y + 0.5) + c;
      const inY = d * (x + 0.5) + e * (y + 0.5) + f;
      if (inX < 0 || inX >= width || inY < 0 || inY >= height) continue;
      const left = Math.floor(inX - 0.5);
      const top = Math.floor(inY - 0.5);
      const shareX = inX - 0.5 - left;
      const shareY = inY - 0.5 - top;
      const x0 = Math.max(0, left) * 3;
      const x1 = Math.min(width - 1, left + 1) * 3;
      const upper = Math.max(0, top) * width * 3;
      const lower = Math.min(height - 1, top + 1) * width * 3;
      for (let channel = 0; channel < 3; channel++) {
        const above = from[upper + x0 + channel]!;
        const below = from[lower + x0 + channel]!;
        const v1 = above + (from[upper + x1 + channel]! - above) * shareX;
        const v2 = below + (from[lower + x1 + channel]! - below) * shareX;
        data[at + channel] = v1 + (v2 - v1) * shareY;
      }
    }
  }
  return { width, height, data };
}

function filled({ width, height }: Plane, channels: number, fill: readonly number[]): Uint8Array {
  const data = new Uint8Array(width * height * channels);
  if (fill.every((value) => value === fill[0])) data.fill(fill[0]!);
  else for (let at = 0; at < data.length; at++) data[at] = fill[at % channels]!;
  return data;
}

/** Checks for three levels from 0 to 255. */
export function checkColor(name: string, color: Color): Color {
  if (color.length === 3 && color.every((level) => Number.isInteger(level) && level >= 0 && level <= 255)) return color;
  throw badSetting(name, 'three whole numbers from 0 to 255, for red, green and blue', color);
}
