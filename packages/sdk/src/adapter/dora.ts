/** @file DoRA's norm: how long the adapted weight is, per output. */

import { readFloats } from '../graph/tensorData.ts';
import type { Site } from '../match/sites.ts';

/**
 * ‖W + s·B·A‖ for each output row.
 *
 * @param A `[r, in]`
 * @param B `[out, r]`
 * @returns `[out]`
 * @see https://arxiv.org/abs/2402.09353
 */
export function adaptedNorm(site: Site, A: Float32Array, B: Float32Array, r: number, scaling: number): Float32Array {
  const [out, width] = site.weightShape as [number, number];
  const W = readFloats(site.weight.tensor);
  const [rowStep, columnStep] = site.weight.layout === 'in-out' ? [1, out] : [width, 1];
  const norm = new Float32Array(out);
  const row = new Float64Array(width);
  for (let o = 0; o < out; o++) {
    row.fill(0);
    for (let k = 0; k < r; k++) {
      const b = scaling * B[o * r + k]!;
      if (b !== 0) for (let i = 0; i < width; i++) row[i]! += b * A[k * width + i]!;
    }
    let sum = 0;
    for (let i = 0; i < width; i++) {
      const value = W[o * rowStep + i * columnStep]! + row[i]!;
      sum += value * value;
    }
    norm[o] = Math.sqrt(sum);
  }
  return norm;
}

/** magnitude ÷ ‖W + s·B·A‖, the factor of each output: `[out]`. */
export function doraGain(
  site: Site,
  A: Float32Array,
  B: Float32Array,
  r: number,
  scaling: number,
  magnitude: Float32Array,
): Float32Array {
  return adaptedNorm(site, A, B, r, scaling).map((norm, o) => magnitude[o]! / norm);
}
