/** @file How much classes and examples must count for every class to count the same. */

import { OnnxLoraError } from '../../../errors.ts';

/**
 * How classes are weighed. `balanced`: the inverse of how often a class occurs. `{ beta }`: the inverse of its effective number
 * of examples, (1 − betaⁿ) / (1 − beta), which grows more slowly the more there are. `effective` is a beta of 0.999.
 */
export type ClassBalance = 'balanced' | 'effective' | { readonly beta: number };

/**
 * A weight per class for a loss, given how many examples each has. All examples together weigh as much as without weights. A class
 * without examples has the weight 1.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for a beta that is not at least 0 and below 1
 * @see scikit-learn's `class_weight="balanced"`; Cui et al., "Class-Balanced Loss Based on Effective Number of Samples" (2019)
 */
export function classWeights(counts: readonly number[], balance: ClassBalance = 'balanced'): number[] {
  const inverse = counts.map((count) => (count === 0 ? 0 : 1 / effectiveNumber(count, balance)));
  const examples = counts.reduce((sum, count) => sum + count, 0);
  const weight = counts.reduce((sum, count, i) => sum + count * inverse[i]!, 0);
  return inverse.map((each) => (each === 0 ? 1 : (each * examples) / weight));
}

function effectiveNumber(count: number, balance: ClassBalance): number {
  if (balance === 'balanced') return count;
  const { beta } = balance === 'effective' ? { beta: 0.999 } : balance;
  if (!(beta >= 0 && beta < 1)) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `beta of the class weights must be at least 0 and below 1, but it is ${beta}. 0.999 is usual; the nearer to 1, the more rare classes count.`,
    );
  }
  return (1 - beta ** count) / (1 - beta);
}

/**
 * A weight per example, with which every class is drawn equally often: 1 over the number of examples of its class. An example with
 * several labels has the mean over them; those without any are a class of their own.
 */
export function balancedWeights(labels: readonly (readonly string[])[]): number[] {
  const named = labels.map((each) => (each.length > 0 ? each : ['']));
  const counts = new Map<string, number>();
  for (const label of named.flat()) counts.set(label, (counts.get(label) ?? 0) + 1);
  return named.map((each) => each.reduce((sum, label) => sum + 1 / counts.get(label)!, 0) / each.length);
}
