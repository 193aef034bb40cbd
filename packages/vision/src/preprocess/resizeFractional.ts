/** @file Resizes RGB images without rounding the result to 8 bits. */

import type { Image } from '../image/image.ts';
import type { Plane } from './centerCrop.ts';
import { filterWeights, type Resample } from './resampleFilters.ts';
import { resizeNearest } from './resize.ts';

/**
 * Resizes to `[height, width]` in floating point, in levels from 0 to 255: what torch's `interpolate(antialias=True)` makes
 * of float images, up to its rounding. The filters are Pillow's.
 */
export function resizeFractional(image: Image, height: number, width: number, resample: Resample): Plane<Float32Array> {
  if (resample === 'nearest') {
    const pixels = resizeNearest(image, 3, height, width);
    return { height, width, data: Float32Array.from(pixels.data) };
  }
  const columns = filterWeights(image.width, width, resample);
  const rows = filterWeights(image.height, height, resample);
  const rowLength = width * 3;
  const wide = new Float64Array(image.height * rowLength);
  for (let y = 0, at = 0; y < image.height; y++) {
    for (let x = 0; x < width; x++, at += 3) {
      let from = (y * image.width + columns.first[x]!) * 3;
      for (let k = x * columns.stride; k < x * columns.stride + columns.count[x]!; k++, from += 3) {
        const weight = columns.weights[k]!;
        wide[at] = wide[at]! + image.data[from]! * weight;
        wide[at + 1] = wide[at + 1]! + image.data[from + 1]! * weight;
        wide[at + 2] = wide[at + 2]! + image.data[from + 2]! * weight;
      }
    }
  }
  const data = new Float32Array(height * rowLength);
  const sums = new Float64Array(rowLength);
  for (let y = 0; y < height; y++) {
    sums.fill(0);
    for (let k = 0; k < rows.count[y]!; k++) {
      const weight = rows.weights[y * rows.stride + k]!;
      const row = (rows.first[y]! + k) * rowLength;
      for (let i = 0; i < rowLength; i++) sums[i] = sums[i]! + wide[row + i]! * weight;
    }
    data.set(sums, y * rowLength);
  }
  return { height, width, data };
}
