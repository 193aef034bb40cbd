/** @file An object's shape as COCO writes it: polygons, or run lengths as a list or as text. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { Shape } from '../imageRecord.ts';
import { parseCocoCounts } from '../shapes/cocoCounts.ts';

/** Most pixels of a mask that run lengths may claim. */
const MOST_PIXELS = 100_000_000;

/**
 * The shape, or undefined where polygons have too few corners to hold a pixel.
 *
 * @throws OnnxLoraError `DATA_INVALID` for anything else
 */
export function cocoShape(segmentation: unknown, place: string): Shape | undefined {
  if (Array.isArray(segmentation)) {
    const isRing = (ring: unknown): ring is number[] =>
      Array.isArray(ring) && ring.length % 2 === 0 && ring.every(Number.isFinite);
    if (!segmentation.every(isRing))
      throw refused(place, '"segmentation" must be lists of x, y, x, y … or run lengths');
    const rings = segmentation.filter((ring) => ring.length >= 6);
    return rings.length > 0 ? { kind: 'polygons', rings } : undefined;
  }
  const { size, counts } = (segmentation ?? {}) as { size?: unknown; counts?: unknown };
  const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
  if (!Array.isArray(size) || size.length !== 2 || !size.every(isCount))
    throw refused(place, '"segmentation" needs "size": [height, width] beside "counts"');
  const [height, width] = size as [number, number];
  if (height * width > MOST_PIXELS)
    throw refused(place, `the mask claims ${height} x ${width} pixels, more than ${MOST_PIXELS}`);
  const numbers = typeof counts === 'string' ? parseCocoCounts(counts, place) : counts;
  if (!Array.isArray(numbers) || !numbers.every(isCount))
    throw refused(place, '"counts" must be a list of numbers or a text');
  const total = numbers.reduce((sum, each) => sum + each, 0);
  if (total !== height * width)
    throw refused(place, `the run lengths add up to ${total}, but ${height} x ${width} pixels are ${height * width}`);
  return { kind: 'runs', height, width, counts: numbers };
}

function refused(place: string, problem: string): OnnxLoraError {
  return new OnnxLoraError('DATA_INVALID', `${place}: ${problem}. Correct the file.`);
}
