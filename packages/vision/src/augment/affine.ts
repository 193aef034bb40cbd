/** @file Rotates, shears and shifts samples, bit for bit as Pillow's `Image.transform` with an affine map. */

import { badSetting } from '@onnx-lora/sdk/data';
import { type Mask, moveSample, type Sample } from './sample.ts';
import type { Image } from '../image/image.ts';
import type { Plane } from '../preprocess/crop.ts';

/** Where a pixel at `(x, y)` of the result comes from: `(a x + b y + c, d x + e y + f)`, in continuous positions. */
type AffineMap = readonly [a: number, b: number, c: number, d: number, e: number, f: number];

/** Red, green and blue, 0 to 255. */
export type Color = readonly [red: number, green: number, blue: number];

/** How values between pixels are found. */
export type Interpolation = 'nearest' | 'bilinear';

/** What an affine map needs beside the sample. */
export interface AffineOptions {
  readonly interpolation: Interpolation;
  /** Colour of what lies outside of the image. */
  readonly fill: Color;
}

/** The sample seen through `map`, in its own size; masks by the nearest pixel. */
export function affineSample(sample: Sample, map: AffineMap, { interpolation, fill }: AffineOptions): Sample {
  const [a, b, c, d, e, f] = map;
  const determinant = a * e - b * d;
  return moveSample(sample, {
    image: interpolation === 'nearest' ? nearest(sample.image, 3, map, fill) : bilinear(sample.image, map, fill),
    mask: (mask): Mask => ({ ...mask, ...nearest(mask, 1, map, [mask.outside ?? 0]) }),
    // The map says where pixels come from; a point goes the other way.
    point: ([x, y]) => [(e * (x - c) - b * (y - f)) / determinant, (a * (y - f) - d * (x - c)) / determinant],
  });
}

/** A rotation around the middle by `degrees`, counter-clockwise. */
export function rotationMap({ width, height }: Pick<Image, 'width' | 'height'>, degrees: number): AffineMap {
  // Whole quarters are exact, as rounding to 15 digits makes them in Pillow.
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
  // Pillow's fixed point: 16 bits after the point, the step added up pixel by pixel.
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

/** `color`, three levels from 0 to 255. */
export function checkColor(name: string, color: Color): Color {
  if (color.length === 3 && color.every((level) => Number.isInteger(level) && level >= 0 && level <= 255)) return color;
  throw badSetting(name, 'three whole numbers from 0 to 255, for red, green and blue', color);
}
