/** @file From pixels to the floats of a batch: normalised, and padded to one size. */

import { type Tensor, tensor } from '@onnx-lora/sdk';
import type { Normalization, Size } from './imagePlan.ts';
import { pixelProgram } from './pixelMemory.ts';

/** Pixels between resizing and the model: 8 bits, or fractions of the same levels from 0 to 255. */
export interface Pixels extends Size {
  /** Red, green and blue, row by row: `[height, width, 3]`. */
  readonly data: Uint8Array | Float32Array;
}

/**
 * Float32 `[256 * 3]`: the value of each level of red, then green, then blue. The steps are rounded to float32 one by
 * one, as transformers' numpy code does: `(float32(level * rescale_factor) - mean) / std`.
 */
export function normalizationTable(normalization: Normalization): Float32Array {
  const table = new Float32Array(256 * 3);
  for (let channel = 0; channel < 3; channel++) {
    for (let level = 0; level < 256; level++) table[channel * 256 + level] = normalized(level, channel, normalization);
  }
  return table;
}

function normalized(
  level: number,
  channel: number,
  { rescaleFactor, offset = 0, mean, std, stdTwice = false }: Normalization,
): number {
  const { fround } = Math;
  const divisor = fround(std[channel]!);
  const rescaled = fround(fround(level * rescaleFactor) + offset);
  const once = fround(fround(rescaled - fround(mean[channel]!)) / divisor);
  return stdTwice ? fround(once / divisor) : once;
}

/** How {@link normalize} makes values of pixels. */
export interface Normalizer {
  /** Of `table`, see {@link normalizationTable}. */
  readonly normalization: Normalization;
  readonly table: Float32Array;
  readonly channelOrder?: 'rgb' | 'bgr';
}

/**
 * Float32 `[3, height, width]`. `height` and `width` may exceed the image's: what is right of and below it is 0, as SAM's
 * padding wants it.
 */
export function normalize(
  pixels: Pixels,
  { normalization, table, channelOrder }: Normalizer,
  { height, width }: Size,
): Tensor {
  const plane = height * width;
  const out = new Float32Array(3 * plane);
  // Which plane of the output each colour goes to.
  const planes = channelOrder === 'bgr' ? [2, 1, 0] : [0, 1, 2];
  const values =
    pixels.data instanceof Uint8Array ? lookedUp(pixels.data, table) : computed(pixels.data, normalization);
  values.forEach((colour, c) => {
    const start = planes[c]! * plane;
    if (pixels.width === width) out.set(colour, start);
    else {
      for (let y = 0; y < pixels.height; y++) {
        out.set(colour.subarray(y * pixels.width, (y + 1) * pixels.width), start + y * width);
      }
    }
  });
  return tensor('float32', out, [3, height, width]);
}

/** The values of red, of green and of blue; they lie in memory that the next image will use. */
function lookedUp(data: Uint8Array, table: Float32Array): Float32Array[] {
  const count = data.length / 3;
  const { program, starts } = pixelProgram([4 * table.length, data.length, 4 * count, 4 * count, 4 * count]);
  const [tableAt = 0, sourceAt = 0, ...colours] = starts;
  const { buffer } = program.memory;
  new Float32Array(buffer, tableAt, table.length).set(table);
  new Uint8Array(buffer, sourceAt, data.length).set(data);
  const [red = 0, green = 0, blue = 0] = colours;
  program.normalize(sourceAt, count, tableAt, red, green, blue);
  return colours.map((at) => new Float32Array(buffer, at, count));
}

function computed(data: Float32Array, normalization: Normalization): Float32Array[] {
  return [0, 1, 2].map((c) => {
    const values = new Float32Array(data.length / 3);
    for (let i = 0, from = c; i < values.length; i++, from += 3) values[i] = normalized(data[from]!, c, normalization);
    return values;
  });
}

/** A batch of images that were padded, and where each is. */
export interface PaddedBatch {
  /** Float32 `[batch, 3, height, width]`. */
  readonly pixels: Tensor;
  /** Int64 `[batch, height, width]`: 1 where there is an image, 0 in the padding; `pixel_mask` of transformers. */
  readonly mask: Tensor;
}

/** Puts zeros on the right of and below images `[3, height, width]`, until all are as large as the largest of them. */
export function padBatch(images: readonly Tensor[]): PaddedBatch {
  const sizes = images.map(({ dims }) => [dims[1]!, dims[2]!] as const);
  const height = Math.max(...sizes.map(([each]) => each));
  const width = Math.max(...sizes.map(([, each]) => each));
  const pixels = new Float32Array(images.length * 3 * height * width);
  const mask = new BigInt64Array(images.length * height * width);
  images.forEach(({ data }, n) => {
    const [rows, columns] = sizes[n]!;
    const values = data as Float32Array;
    for (let y = 0; y < rows; y++) {
      for (let c = 0; c < 3; c++) {
        const from = (c * rows + y) * columns;
        pixels.set(values.subarray(from, from + columns), ((n * 3 + c) * height + y) * width);
      }
      const row = (n * height + y) * width;
      mask.fill(1n, row, row + columns);
    }
  });
  return {
    pixels: tensor('float32', pixels, [images.length, 3, height, width]),
    mask: tensor('int64', mask, [images.length, height, width]),
  };
}
