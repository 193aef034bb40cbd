/** @file Turns 8-bit pixels into the float tensor a model is fed. */

import { type Tensor, tensor } from '@onnx-lora/sdk';
import type { Image } from '../image/image.ts';

/** What is done to each pixel value, as `preprocessor_config.json` names it. */
export interface Normalization {
  /** `rescale_factor`, such as 1/255; 1 where nothing is rescaled. */
  readonly rescaleFactor: number;
  /** `image_mean` of red, green and blue. */
  readonly mean: readonly [number, number, number];
  /** `image_std` of red, green and blue. */
  readonly std: readonly [number, number, number];
}

/**
 * Float32 `[256 * 3]`: the value of each level of red, then green, then blue. The steps are rounded to float32 one by
 * one, as transformers' numpy code does: `(float32(level * rescale_factor) - mean) / std`.
 */
export function normalizationTable({ rescaleFactor, mean, std }: Normalization): Float32Array {
  const table = new Float32Array(256 * 3);
  for (let channel = 0; channel < 3; channel++) {
    const m = Math.fround(mean[channel]!);
    const s = Math.fround(std[channel]!);
    for (let level = 0; level < 256; level++) {
      table[channel * 256 + level] = Math.fround(Math.fround(level * rescaleFactor) - m) / s;
    }
  }
  return table;
}

/**
 * Looks every pixel up in `table` (see {@link normalizationTable}) and gives float32 `[3, height, width]`. `height`
 * and `width` may exceed the image's: what is right of and below it is 0, as SAM's padding wants it.
 */
export function normalize(image: Image, table: Float32Array, height: number, width: number): Tensor {
  const plane = height * width;
  const out = new Float32Array(3 * plane);
  const { data } = image;
  let from = 0;
  for (let y = 0; y < image.height; y++) {
    let at = y * width;
    for (let x = 0; x < image.width; x++, at++, from += 3) {
      out[at] = table[data[from]!]!;
      out[at + plane] = table[256 + data[from + 1]!]!;
      out[at + 2 * plane] = table[512 + data[from + 2]!]!;
    }
  }
  return tensor('float32', out, [3, height, width]);
}
