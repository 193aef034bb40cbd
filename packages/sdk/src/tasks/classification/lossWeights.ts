/** @file Weights of classes and examples, for losses and sampling. */

import { OnnxLoraError } from '../../errors.ts';
import type { Feeds } from '../../runtime/tensor.ts';
import { quotedNames } from '../../data/listed.ts';

/** Inverse frequency (`balanced`), or inverse effective number, (1 − betaⁿ) / (1 − beta); `effective` is 0.999. */
export type ClassBalance = 'balanced' | 'effective' | { readonly beta: number };

/**
 * Weights of classes from their counts, scaled so that the total weight of all examples is unchanged; 1 for empty
 * classes. See scikit-learn's `class_weight="balanced"`; Cui et al., "Class-Balanced Loss Based on Effective Number of
 * Samples" (2019).
 * @throws OnnxLoraError `CONFIG_INVALID` for a beta that is not at least 0 and below 1
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

/** Sampling weights that draw all classes equally often: 1 / the size of the class, averaged over labels. */
export function balancedWeights(labels: readonly (readonly string[])[]): number[] {
  const named = labels.map((each) => (each.length > 0 ? each : ['']));
  const counts = new Map<string, number>();
  for (const label of named.flat()) counts.set(label, (counts.get(label) ?? 0) + 1);
  return named.map((each) => each.reduce((sum, label) => sum + 1 / counts.get(label)!, 0) / each.length);
}

/** `balanced`: n / (classes · n of the class), as scikit-learn; `effective`: milder; or a weight per label, else 1. */
export type ClassWeighting = 'balanced' | 'effective' | Readonly<Record<string, number>>;

/** The weight of each class, given those of the training examples. @throws OnnxLoraError `CONFIG_INVALID` */
export function weightsOf(
  given: ClassWeighting,
  targets: readonly number[],
  labels: readonly string[],
): readonly number[] {
  if (typeof given === 'string') {
    const counts = labels.map(() => 0);
    for (const target of targets) counts[target]!++;
    return classWeights(counts, given);
  }
  const wrong = Object.entries(given).find(([label, weight]) => !labels.includes(label) || !(weight > 0 && weight < Infinity)); // prettier-ignore
  if (wrong) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `classWeights gives "${wrong[0]}" the weight ${wrong[1]}. Weights are numbers above 0, of the classes ${quotedNames(labels, 20)}.`,
    );
  }
  // A class may be named "constructor".
  return labels.map((label) => (Object.hasOwn(given, label) ? given[label]! : 1));
}

/** Weight of a batch in a mean over batches: its number of examples, or the sum of their class weights. */
export function weightOfBatch({ labels }: Feeds, weights: readonly number[] | undefined): number {
  const { data, dims } = labels!;
  if (!weights || !(data instanceof BigInt64Array)) return dims[0]!;
  return Array.from(data, (label) => weights[Number(label)]!).reduce((a, b) => a + b, 0);
}
