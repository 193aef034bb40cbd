/** @file TIES, DARE and magnitude pruning of flat tensors. */

import type { CombineOptions, Rule } from './options.ts';

/** How tensors are merged. */
export interface MergeSettings extends Rule {
  readonly density: number;
  readonly majoritySign: NonNullable<CombineOptions['majoritySign']>;
  /** Uniform in `[0, 1)`; entries below the density are kept. */
  readonly random: () => number;
}

/**
 * Prunes each tensor, elects signs if the rule says so, and adds. As in PEFT: prune, elect on unweighted values,
 * weight, average the tensors that agree with the elected sign.
 * @param tensors of equal length; overwritten
 */
export function mergeTensors(
  tensors: readonly Float64Array[],
  weights: readonly number[],
  { prune, elects, density, majoritySign, random }: MergeSettings,
): Float64Array {
  for (const tensor of tensors) {
    if (density === 1) continue;
    if (prune === 'largest') keepLargest(tensor, density);
    if (prune === 'random') keepRandom(tensor, density, random);
  }
  return elects ? electedMean(tensors, weights, majoritySign) : weightedSum(tensors, weights);
}

/** Zeroes all but the `density` · size largest entries by magnitude; of equal ones, the first stay. */
export function keepLargest(tensor: Float64Array, density: number): void {
  const count = Math.trunc(density * tensor.length);
  if (count === 0) {
    tensor.fill(0);
    return;
  }
  const threshold = tensor.map(Math.abs).sort()[tensor.length - count]!;
  let above = 0;
  for (const value of tensor) if (Math.abs(value) > threshold) above++;
  let equal = count - above;
  for (let i = 0; i < tensor.length; i++) {
    const magnitude = Math.abs(tensor[i]!);
    if (magnitude > threshold) continue;
    if (magnitude === threshold && equal > 0) equal--;
    else tensor[i] = 0;
  }
}

/** Zeroes random entries and divides the others by `density`, which preserves the expectation. */
function keepRandom(tensor: Float64Array, density: number, random: () => number): void {
  for (let i = 0; i < tensor.length; i++) tensor[i] = random() < density ? tensor[i]! / density : 0;
}

function weightedSum(tensors: readonly Float64Array[], weights: readonly number[]): Float64Array {
  const result = new Float64Array(tensors[0]!.length);
  tensors.forEach((tensor, k) => {
    for (let i = 0; i < result.length; i++) result[i]! += weights[k]! * tensor[i]!;
  });
  return result;
}

/** The mean of the weighted entries that agree with the elected sign. A tie elects plus. */
function electedMean(
  tensors: readonly Float64Array[],
  weights: readonly number[],
  majority: 'total' | 'frequency',
): Float64Array {
  const result = new Float64Array(tensors[0]!.length);
  for (let i = 0; i < result.length; i++) {
    let votes = 0;
    for (const tensor of tensors) votes += majority === 'total' ? tensor[i]! : Math.sign(tensor[i]!);
    const elected = votes >= 0 ? 1 : -1;
    let [total, agreeing] = [0, 0];
    for (let k = 0; k < tensors.length; k++) {
      const value = tensors[k]![i]!;
      if (Math.sign(value) !== elected) continue;
      total += weights[k]! * value;
      agreeing++;
    }
    result[i] = total / Math.max(1, agreeing);
  }
  return result;
}
