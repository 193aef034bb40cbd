/** @file Class scores of a batch. */

import { OnnxLoraError } from '../../errors.ts';
import type { Tensor } from '../../runtime/tensor.ts';

/** Float32 logits `[batch, classes]`. */
export interface Scores {
  /** Examples in the batch. */
  readonly rows: number;
  /** Scores per example. */
  readonly classes: number;
  /** Row by row. */
  readonly data: Float32Array;
}

/** Logits of an output. @throws OnnxLoraError `INPUT_INVALID`; `LOSS_NOT_FINITE`, since no class is then the best */
export function scoresOf(outputs: Readonly<Record<string, Tensor>>, name: string, classes: number): Scores {
  const tensor = outputs[name];
  if (!(tensor?.data instanceof Float32Array) || tensor.dims.length !== 2 || tensor.dims[1] !== classes) {
    const found = tensor ? `${tensor.type} [${tensor.dims.join(', ')}]` : 'nothing';
    throw new OnnxLoraError(
      'INPUT_INVALID',
      `The output "${name}" must be float32 [batch, ${classes}], but the session gave ${found}. Check that the outputs are those of the model the task was prepared for.`,
    );
  }
  const bad = tensor.data.findIndex((score) => !(score < Infinity));
  if (bad >= 0) {
    throw new OnnxLoraError(
      'LOSS_NOT_FINITE',
      `The output "${name}" gives class ${bad % classes} the score ${tensor.data[bad]} in row ${Math.floor(bad / classes)} of the batch. The adapter has probably diverged: train it again with a lower learning rate.`,
    );
  }
  return { rows: tensor.dims[0]!, classes, data: tensor.data };
}

/** Logarithm of `sum(exp(row))`, without overflow. */
export function logSumExp(row: Float32Array | Float64Array): number {
  let largest = -Infinity;
  for (const score of row) largest = Math.max(largest, score);
  if (!Number.isFinite(largest)) return largest;
  let sum = 0;
  for (const score of row) sum += Math.exp(score - largest);
  return largest + Math.log(sum);
}

/** The `count` best classes, best first; of equal scores the lower class first. */
export function bestClasses(row: ArrayLike<number>, count: number): number[] {
  const order: number[] = [];
  // Insertion into a short list: usually one comparison per class.
  for (let c = 0; c < row.length; c++) {
    if (order.length === count && row[c]! <= row[order[count - 1]!]!) continue;
    let at = order.length;
    while (at > 0 && row[c]! > row[order[at - 1]!]!) at--;
    order.splice(at, 0, c);
    if (order.length > count) order.pop();
  }
  return order;
}
