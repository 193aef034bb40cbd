/** @file Normalisation of pixels, and padding of batches. */

import { type Tensor, tensor } from '@onnx-lora/sdk/data';
import type { Normalization, Size } from './imagePlan.ts';
import { pixelProgram } from './pixelMemory.ts';

/** Pixels before normalisation: 8 bits, or fractions of levels from 0 to 255. */
export interface Pixels extends Size {
  /** Red, green and blue: `[height, width, 3]`. */
  readonly data: Uint8Array | Float32Array;
}

/**
 * Lookup table, float32 `[256 * 3]`: the value of each level in red, green and blue, rounded to float32 step by step as
 * transformers' numpy code: `(float32(level * rescale_factor) - mean) / std`.
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

/** A normalisation with its lookup table. */
export interface Normalizer {
  readonly normalization: Normalization;
  readonly table: Float32Array;
  readonly channelOrder?: 'rgb' | 'bgr';
}

/** Float32 `[3, height, width]`. A size beyond the image's is zero padding on the right and below, as for SAM. */
export function normalize(
  pixels: Pixels,
  { normalization, table, channelOrder }: Normalizer,
  { height, width }: Size,
): Tensor {
  const plane = height * width;
  const out = new Float32Array(3 * plane);
  // Output plane of each colour.
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

/** Planes of red, green and blue, in memory that the next image reuses. */
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

/** A padded batch with its mask. */
export interface PaddedBatch {
  /** Float32 `[batch, 3, height, width]`. */
  readonly pixels: Tensor;
  /** Int64 `[batch, height, width]`: 1 for image, 0 for padding; transformers' `pixel_mask`. */
  readonly mask: Tensor;
}

/** Pads images `[3, height, width]` with zeros on the right and below to the largest. */
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
