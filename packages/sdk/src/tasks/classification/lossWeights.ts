/** @file How much classes and examples count: in the loss, in the mean over batches, and in what is drawn. */

import { OnnxLoraError } from '../../errors.ts';
import type { Feeds } from '../../runtime/tensor.ts';
import { listed } from '../../data/listed.ts';

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

/**
 * How much each class counts in the loss: `balanced` gives all classes the same weight together, n / (classes · n of the
 * class), as scikit-learn does; `effective` goes less far, see {@link classWeights}; or a weight per label, 1 where a label
 * has none.
 */
export type ClassWeighting = 'balanced' | 'effective' | Readonly<Record<string, number>>;

/**
 * A weight per class.
 *
 * @param targets the class of each example that is trained on
 * @throws OnnxLoraError `CONFIG_INVALID` for a weight that is no number above 0, or one of a label that there is not
 */
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
      `classWeights gives "${wrong[0]}" the weight ${wrong[1]}. Weights are numbers above 0, of the classes ${listed(labels, 20)}.`,
    );
  }
  // A class may be called constructor.
  return labels.map((label) => (Object.hasOwn(given, label) ? given[label]! : 1));
}

/** What the mean of a part of a batch counts: its number of examples, or the weights of their classes together. */
export function weightOfBatch({ labels }: Feeds, weights: readonly number[] | undefined): number {
  const { data, dims } = labels!;
  if (!weights || !(data instanceof BigInt64Array)) return dims[0]!;
  return Array.from(data, (label) => weights[Number(label)]!).reduce((a, b) => a + b, 0);
}
