/** @file An image with all that moves when the image moves. */

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
  /** Once a crop or a turn has left boxes outside of the image: for each that is left, its place in the list before. */
  readonly boxIndices?: readonly number[];
  /** The same of points. */
  readonly pointIndices?: readonly number[];
}
