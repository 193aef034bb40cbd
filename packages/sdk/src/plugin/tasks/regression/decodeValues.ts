/** @file Says predicted numbers by name. */

import type { Tensor } from '../../../runtime/tensor.ts';
import type { Prediction } from '../../predictor.ts';
import { scoresOf } from '../classification/scores.ts';

/**
 * One prediction per row: `{ value }`, or `{ values }` by name where there are several.
 *
 * @throws OnnxLoraError `INPUT_INVALID` when the output is missing or of another shape; `LOSS_NOT_FINITE` when a number
 *   is NaN or infinite
 */
export function decodeValues(
  outputs: Readonly<Record<string, Tensor>>,
  output: string,
  names: readonly string[],
): Prediction[] {
  const { rows, classes, data } = scoresOf(outputs, output, names.length);
  return Array.from({ length: rows }, (_, row) => {
    const own = [...data.subarray(row * classes, (row + 1) * classes)];
    if (own.length === 1) return { value: own[0]! };
    return { values: Object.fromEntries(names.map((name, i) => [name, own[i]!])) };
  });
}

/** Names of the numbers where the data have none: one is `value`. */
export function valueNames(count: number): readonly string[] {
  return count === 1 ? ['value'] : Array.from({ length: count }, (_, i) => `value ${i + 1}`);
}
