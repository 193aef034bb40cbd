/** @file Run lengths of a mask, column by column, background first, as COCO counts them. */

import type { Mask } from '../../augment/sample.ts';
import type { Shape } from '../imageRecord.ts';

/** A {@link Shape} of run lengths. */
export type Rle = Extract<Shape, { kind: 'runs' }>;

/** The mask, of zeros and ones, that run lengths stand for. They add up to its pixels. */
export function decodeRle({ height, width, counts }: Rle): Mask {
  const data = new Uint8Array(width * height);
  let at = 0;
  counts.forEach((count, i) => {
    const end = at + count;
    if (i % 2 === 0) at = end;
    // Column by column here, row by row in a mask.
    for (; at < end; at++) data[(at % height) * width + Math.floor(at / height)] = 1;
  });
  return { width, height, data };
}

/** The run lengths of what is not zero in a mask. */
export function encodeRle({ width, height, data }: Mask): Rle {
  const counts: number[] = [];
  let current = 0;
  let run = 0;
  for (let x = 0; x < width; x++) {
    for (let y = 0; y < height; y++) {
      const value = data[y * width + x] === 0 ? 0 : 1;
      if (value !== current) {
        counts.push(run);
        run = 0;
        current = value;
      }
      run++;
    }
  }
  if (run > 0) counts.push(run);
  return { kind: 'runs', height, width, counts };
}
