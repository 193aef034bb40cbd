/** @file Run lengths of a mask, column by column, background first, as COCO counts them, and their text form. @see https://github.com/cocodataset/cocoapi, common/maskApi.c */

import type { Mask } from '../../augment/sample.ts';
import type { Shape } from '../imageRecord.ts';
import { OnnxLoraError } from '@onnx-lora/sdk';

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

/**
 * The counts that a text stands for.
 *
 * @throws OnnxLoraError `DATA_INVALID` for a text that stands for none, naming `place`
 */
export function parseCocoCounts(text: string, place: string): number[] {
  const counts: number[] = [];
  for (let at = 0; at < text.length;) {
    let value = 0;
    let scale = 1;
    let digit: number;
    do {
      digit = text.charCodeAt(at++) - 48;
      // Counts of 32 bits have seven digits at most.
      if (!(digit >= 0 && digit < 64) || scale > 2 ** 30) throw malformed(place, at);
      value += (digit & 31) * scale;
      scale *= 32;
    } while (digit & 32);
    if (digit & 16) value -= scale;
    if (counts.length > 2) value += counts[counts.length - 2]!;
    if (value < 0) throw malformed(place, at);
    counts.push(value);
  }
  return counts;
}

/** The text that stands for counts. */
export function formatCocoCounts(counts: readonly number[]): string {
  let text = '';
  counts.forEach((count, i) => {
    let value = i > 2 ? count - counts[i - 2]! : count;
    for (;;) {
      const digit = value & 31;
      value >>= 5;
      const isLast = digit & 16 ? value === -1 : value === 0;
      text += String.fromCharCode(48 + (isLast ? digit : digit | 32));
      if (isLast) break;
    }
  });
  return text;
}

function malformed(place: string, at: number): OnnxLoraError {
  return new OnnxLoraError(
    'DATA_INVALID',
    `${place}: the run lengths are malformed at character ${at}. Write them with pycocotools, or as a list of counts.`,
  );
}
