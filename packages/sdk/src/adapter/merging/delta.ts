/** @file The delta of a low-rank adapter, row by row, and DoRA's norm of the adapted weight. */

import type { FactorValues } from '../../lora/kinds/kind.ts';
import { kindOf } from '../../lora/kinds/table.ts';
import type { Site } from '../../match/sites.ts';

/** Visits the rows of s·B·A with the output's index. The row is reused. */
export function eachDeltaRow(
  site: Site,
  { A, B, r, scaling }: FactorValues,
  visit: (output: number, row: Float64Array) => void,
): void {
  const { out, width, groups } = kindOf(site).matrix(site);
  const row = new Float64Array(width);
  // A group's outputs read only the rows of A in that group.
  const [ranks, outputs] = [r / groups, out / groups];
  for (let o = 0; o < out; o++) {
    row.fill(0);
    const first = Math.floor(o / outputs) * ranks;
    for (let k = 0; k < ranks; k++) {
      const b = scaling * B[o * ranks + k]!;
      const start = (first + k) * width;
      if (b !== 0) for (let i = 0; i < width; i++) row[i]! += b * A[start + i]!;
    }
    visit(o, row);
  }
}

/** Strides of a flat weight: value `i` of row `o` is at `o · row + i · column`. */
export function weightSteps(site: Site): { readonly row: number; readonly column: number } {
  const { out, width, layout, groups } = kindOf(site).matrix(site);
  return layout === 'in-out' ? { row: 1, column: out } : { row: width / groups, column: 1 };
}

/** True if a weight can hold s·B·A: a grouped layer's holds only the inputs of each output's group. */
export function fitsGroups(site: Site, factors: FactorValues): boolean {
  const { out, groups } = kindOf(site).matrix(site);
  if (groups === 1) return true;
  let isHeld = true;
  eachDeltaRow(site, factors, (o, row) => {
    const own = row.length / groups;
    const first = Math.floor((o * groups) / out) * own;
    if (row.some((value, i) => value !== 0 && (i < first || i >= first + own))) isHeld = false;
  });
  return isHeld;
}

/**
 * ‖W + s·B·A‖ per output `[out]`, for layers without groups.
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

/** magnitude ÷ ‖W + s·B·A‖ per output: `[out]`; 0 for an output without weights. */
export function doraGain(site: Site, factors: FactorValues, magnitude: Float32Array, W?: Float32Array): Float32Array {
  return adaptedNorm(site, factors, W).map((norm, o) => (norm === 0 ? 0 : magnitude[o]! / norm));
}
