/** @file DoRA's norm: how long the adapted weight is, per output. */

import { readFloats } from '../graph/tensorData.ts';
import type { Site } from '../match/sites.ts';
import { eachDeltaRow, type FactorValues, weightSteps } from './delta.ts';

/**
 * ‖W + s·B·A‖ for each output, of a layer without groups.
 *
 * @returns `[out]`
 * @see https://arxiv.org/abs/2402.09353
 */
export function adaptedNorm(site: Site, factors: FactorValues): Float32Array {
  const W = readFloats(site.weight.tensor);
  const steps = weightSteps(site);
  const norms: number[] = [];
  eachDeltaRow(site, factors, (o, row) => {
    let sum = 0;
    for (let i = 0; i < row.length; i++) {
      const value = W[o * steps.row + i * steps.column]! + row[i]!;
      sum += value * value;
    }
    norms.push(Math.sqrt(sum));
  });
  return Float32Array.from(norms);
}

/** magnitude ÷ ‖W + s·B·A‖, the factor of each output: `[out]`. */
export function doraGain(site: Site, factors: FactorValues, magnitude: Float32Array): Float32Array {
  return adaptedNorm(site, factors).map((norm, o) => magnitude[o]! / norm);
}
