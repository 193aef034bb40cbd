/** @file An image with all that moves when the image moves, and how it moves along. */

import type { Box, Point } from '../data/imageRecord.ts';
import type { Image } from '../image/image.ts';

/** One number per pixel: a class, or 0 and 1. */
export interface Mask {
  /** Pixels of a row. */
  readonly width: number;
  /** Rows. */
  readonly height: number;
  /** `[height, width]`, row by row. */
  readonly data: Uint8Array;
  /** What stands where the image does not reach, as in the corners after a rotation; 0 by default. */
  readonly outside?: number;
}

/** An image, and annotations in its own pixels. */
export interface Sample {
  /** Its pixels. */
  readonly image: Image;
  /** Masks of the image's size: a class map, or one mask per object. */
  readonly masks?: readonly Mask[];
  /** Boxes around objects. */
  readonly boxes?: readonly Box[];
  /** Points on objects. */
  readonly points?: readonly Point[];
  /** Once a crop or a rotation has left boxes outside of the image: for each that is left, its place in the list before. */
  readonly boxIndices?: readonly number[];
  /** The same of points. */
  readonly pointIndices?: readonly number[];
}

/** Where things go. */
interface Movement {
  readonly image: Image;
  readonly mask: (mask: Mask) => Mask;
  /** The new place of a point. */
  readonly point: (point: Point) => Point;
}

/**
 * The sample after a movement. A box becomes the smallest upright one around its four corners, cut off at the edges of the
 * image; boxes of which less than a pixel's width or height is left are dropped, and points outside of the image, too.
 * `boxIndices` and `pointIndices` then say which are left.
 */
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
