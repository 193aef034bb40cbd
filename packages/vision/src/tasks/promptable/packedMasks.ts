/** @file Masks of images of different sizes in one tensor, eight pixels a byte. */

import { type Feeds, int64 } from '@onnx-lora/sdk';
import type { Mask } from '../../augment/sample.ts';

/** `bits` uint8 `[images, masks, bytes]` and `sizes` int64 `[images, 2]`, height and width. Each image has as many masks. */
export function packMasks(images: readonly (readonly Mask[])[]): {
  readonly bits: Feeds[string];
  readonly sizes: Feeds[string];
} {
  const bytes = Math.max(...images.flat().map(({ data }) => Math.ceil(data.length / 8)));
  const each = images[0]!.length;
  const data = new Uint8Array(images.length * each * bytes);
  images.flat().forEach((mask, k) => {
    const start = k * bytes;
    for (let i = 0; i < mask.data.length; i++) if (mask.data[i] !== 0) data[start + (i >> 3)]! |= 1 << (i & 7);
  });
  return {
    bits: { type: 'uint8', dims: [images.length, each, bytes], data },
    sizes: int64(
      images.flatMap(([mask]) => [mask!.height, mask!.width]),
      [images.length, 2],
    ),
  };
}

/** The masks again, of zeros and ones. */
export function unpackMasks(bits: Feeds[string], sizes: Feeds[string]): Mask[][] {
  const [images = 0, each = 0, bytes = 0] = bits.dims;
  return Array.from({ length: images }, (_, i) => {
    const [height, width] = [Number(sizes.data[2 * i]), Number(sizes.data[2 * i + 1])];
    return Array.from({ length: each }, (__, j) => {
      const start = (i * each + j) * bytes;
      const data = new Uint8Array(height * width);
      for (let k = 0; k < data.length; k++) data[k] = ((bits.data[start + (k >> 3)] as number) >> (k & 7)) & 1;
      return { height, width, data };
    });
  });
}
