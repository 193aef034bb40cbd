/** @file How much classes count in the loss, and batches in the mean over them. */

import { OnnxLoraError } from '../../../errors.ts';
import type { Feeds } from '../../../runtime/tensor.ts';
import { listed } from '../listed.ts';
import { classWeights } from './classBalance.ts';

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
