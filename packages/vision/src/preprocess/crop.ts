/** @file Crops of planes, and centre crops. */

import { type CropStep, roundHalfEven, type Size } from './imagePlan.ts';

/** Upper left corner of a window in pixels; negative outside of the image. */
export interface Offset {
  /** Rows above the window. */
  readonly top: number;
  /** Pixels left of the window. */
  readonly left: number;
}

/** Samples `[height, width, channels]`. */
export interface Plane<Data extends Uint8Array | Float32Array = Uint8Array> extends Size {
  readonly data: Data;
}

/** Centre crop offset, rounded as the step says; each mode places a margin's odd pixel like its library. */
export function centerCropOffset(image: Size, { height, width, rounding = 'down' }: CropStep): Offset {
  const start =
    rounding === 'down'
      ? (excess: number): number => Math.floor(excess / 2)
      : (excess: number): number => (excess < 0 ? Math.ceil(excess / 2) : roundHalfEven(excess / 2));
  return { top: start(image.height - height), left: start(image.width - width) };
}

/** Crops to `size` at `offset`, with `fill` outside. Returns `plane` itself if nothing changes. */
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
