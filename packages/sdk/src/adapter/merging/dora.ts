/** @file DoRA's norm of the adapted weight, per output. */

import type { FactorValues } from '../../lora/kinds/kind.ts';
import type { Site } from '../../match/sites.ts';
import { eachDeltaRow, weightSteps } from './delta.ts';

/**
 * ‖W + s·B·A‖ per output `[out]`, for layers without groups.
 *
 * @param W the weight in the graph's layout; by default the base's
 * @see https://arxiv.org/abs/2402.09353
 */
export function adaptedNorm(
  site: Site,
  factors: FactorValues,
  W: Float32Array = site.weight.stored.read(),
): Float32Array {
  const steps = weightSteps(site);
  const norms: number[] = [];
  eachDeltaRow(site, factors, (o, row) => {
    const folded = site.foldedScale?.[o] ?? 1;
    let sum = 0;
    for (let i = 0; i < row.length; i++) {
      const value = W[o * steps.row + i * steps.column]! / folded + row[i]!;
      sum += value * value;
    }
    norms.push(Math.sqrt(sum));
  });
  return Float32Array.from(norms);
}

/** magnitude ÷ ‖W + s·B·A‖ per output: `[out]`. */
export function doraGain(site: Site, factors: FactorValues, magnitude: Float32Array, W?: Float32Array): Float32Array {
  return adaptedNorm(site, factors, W).map((norm, o) => magnitude[o]! / norm);
}
