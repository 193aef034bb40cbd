/** @file Windows of images: where a crop in the middle begins, and the pixels in it. */

import { type CropStep, roundHalfEven, type Size } from './imagePlan.ts';

/** Left upper corner of a window, in pixels; negative where the window begins outside of the image. */
export interface Offset {
  /** Rows above the window. */
  readonly top: number;
  /** Pixels to the left of the window. */
  readonly left: number;
}

/** Samples row by row, `[height, width, channels]`. */
export interface Plane<Data extends Uint8Array | Float32Array = Uint8Array> extends Size {
  readonly data: Data;
}

/**
 * Where a crop begins: at `(image.height - height) / 2`, rounded as the step says, and the same for the width. Where the image
 * is smaller, both ways to round put the odd pixel of the margin where their library does.
 */
export function centerCropOffset(image: Size, { height, width, rounding = 'down' }: CropStep): Offset {
  const start =
    rounding === 'down'
      ? (excess: number): number => Math.floor(excess / 2)
      : (excess: number): number => (excess < 0 ? Math.ceil(excess / 2) : roundHalfEven(excess / 2));
  return { top: start(image.height - height), left: start(image.width - width) };
}

/**
 * The window of `size` at `offset`, with `fill` where the window reaches outside. Gives `plane` itself when the window is
 * all of it.
 */
export function cropPlane<Data extends Uint8Array | Float32Array>(
  plane: Plane<Data>,
  channels: number,
  { top, left }: Offset,
  { height, width }: Size,
  fill = 0,
): Plane<Data> {
  if (plane.height === height && plane.width === width && top === 0 && left === 0) return plane;
  const length = height * width * channels;
  const data = (plane.data instanceof Uint8Array ? new Uint8Array(length) : new Float32Array(length)) as Data;
  if (fill !== 0) data.fill(fill);
  const x0 = Math.max(0, left);
  const x1 = Math.min(plane.width, left + width);
  if (x0 >= x1) return { height, width, data };
  for (let y = Math.max(0, top); y < Math.min(plane.height, top + height); y++) {
    const row = y * plane.width;
    data.set(
      plane.data.subarray((row + x0) * channels, (row + x1) * channels),
      ((y - top) * width + x0 - left) * channels,
    );
  }
  return { height, width, data };
}
