/**
 * @file COCO's text form of run lengths. Every count is a number in base 32 with its sign, lowest digit first; from the third
 * count on it is the difference to the count two before. @see https://github.com/cocodataset/cocoapi, common/maskApi.c
 */

import { OnnxLoraError } from '@onnx-lora/sdk';

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
