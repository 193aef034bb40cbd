/** @file Losses as graph fragments, from operators that every execution provider has. */

import type { GraphBuilder, Value } from '../graph/builder.ts';
import { OnnxLoraError } from '../errors.ts';
import { dataTypeNumber } from '../graph/dataType.ts';
import { isStatic } from '../graph/value.ts';

/** Options of {@link crossEntropy}. */
export interface CrossEntropyOptions {
  /** Labels with this value do not count, -100 by default as in torch. */
  readonly ignoreIndex?: number;
}

/**
 * Mean cross-entropy of class scores, `−log softmax(logits)[label]`, over the labels that count.
 *
 * @param logits `[..., classes]`, float
 * @param labels `[...]`, int64
 * @returns a scalar
 * @see https://pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html
 */
export function crossEntropy(
  g: GraphBuilder,
  logits: Value,
  labels: Value,
  { ignoreIndex = -100 }: CrossEntropyOptions = {},
): Value {
  const shape = logits.shape;
  const classes = shape?.at(-1);
  if (!isStatic(shape) || typeof classes !== 'number') {
    throw new OnnxLoraError(
      'MODEL_UNSUPPORTED',
      `Cross-entropy needs scores of a known shape [..., classes], but "${logits.name}" has none.`,
    );
  }
  const rows = g.Reshape(logits, [-1, classes]);
  // [rows, 1]: each label compared with the class numbers gives its one-hot row, without OneHot (CPU only on WebGPU).
  // WebGPU has no int64: as int32 only the labels cross over, not the rows made of them.
  const column = g.Cast(g.Reshape(labels, [-1, 1]), dataTypeNumber('int32'));
  const int32 = (data: Int32Array, dims: readonly number[]): Value => g.constant({ type: 'int32', dims, data });
  const counts = g.Not(g.Equal(column, int32(Int32Array.of(ignoreIndex), [])));
  const numbers = int32(
    Int32Array.from({ length: classes }, (_, i) => i),
    [1, classes],
  );
  const hit = g.Cast(g.Equal(column, numbers), dataTypeNumber('float32'));
  const shifted = g.Sub(rows, g.stopGradient(g.ReduceMax(rows, [1], true)));
  const logSum = g.Log(g.ReduceSum(g.Exp(shifted), [1], true));
  const perRow = g.Sub(logSum, g.ReduceSum(g.Mul(shifted, hit), [1], true));
  const weight = g.Cast(counts, dataTypeNumber('float32'));
  return g.Div(g.ReduceSum(g.Mul(perRow, weight), [0, 1], false), g.ReduceSum(weight, [0, 1], false));
}

/**
 * Mean squared error over all elements.
 *
 * @param predictions any shape, float
 * @param targets the same shape, float
 */
export function meanSquaredError(g: GraphBuilder, predictions: Value, targets: Value): Value {
  const difference = g.Sub(predictions, targets);
  return meanOfAll(g, g.Mul(difference, difference));
}

/**
 * Binary cross-entropy of logits, mean over all elements: `softplus(x) − x·y`.
 *
 * @param logits any shape, float
 * @param targets the same shape, float between 0 and 1
 */
export function binaryCrossEntropy(g: GraphBuilder, logits: Value, targets: Value): Value {
  // max(x, 0) − x·y + log(1 + exp(−|x|)) does not overflow.
  const tail = g.Log(g.Add(g.Exp(g.Neg(g.Abs(logits))), 1));
  return meanOfAll(g, g.Add(g.Sub(g.Relu(logits), g.Mul(logits, targets)), tail));
}

function meanOfAll(g: GraphBuilder, x: Value): Value {
  return g.ReduceMean(
    x,
    (x.shape ?? []).map((_, i) => i),
    false,
  );
}
