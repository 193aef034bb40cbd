/** @file Makes one batch of images of several sizes. */

import { type Tensor, tensor } from '@onnx-lora/sdk';

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
