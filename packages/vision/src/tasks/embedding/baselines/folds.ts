/** @file Divides examples for cross-validation. */

import { Random } from '@onnx-lora/sdk/core';

/** A fold number for each example: every class is spread evenly over all folds, at random. */
export function stratifiedFolds(labels: readonly number[], folds: number, seed: number): number[] {
  const random = new Random(seed);
  const result = new Array<number>(labels.length).fill(0);
  let next = 0;
  for (const label of [...new Set(labels)].sort((a, b) => a - b)) {
    const members = labels.flatMap((each, i) => (each === label ? [i] : []));
    // Classes go on where the one before ended, so that small ones do not all lie in the first folds.
    for (const at of random.permutation(members.length)) result[members[at]!] = next++ % folds;
  }
  return result;
}
