/** @file Binary cross-entropy of logits, per element. */

import type { GraphBuilder, Value } from '../../graph/builder.ts';
import { formatShape } from '../../graph/value.ts';
import { invalid, numbers, sameShape, shapeOf, typed, wide } from './operands.ts';
import { type ElementOptions, reduce } from './reduction.ts';

/** Options of {@link binaryCrossEntropy}. */
export interface BinaryCrossEntropyOptions extends ElementOptions {
  /** Weight of positives relative to negatives: one number, or one per entry of the last axis. */
  readonly posWeight?: number | readonly number[] | undefined;
  /** Factor of each element's loss, broadcast to the logits' shape. The mean stays over all elements. */
  readonly weight?: Value | undefined;
}

/**
 * Binary cross-entropy of logits, `−y·log σ(x) − (1 − y)·log(1 − σ(x))`, as torch.nn.BCEWithLogitsLoss.
 * @param logits any shape, float
 * @param targets the same shape, between 0 and 1
 * @throws OnnxLoraError `PLUGIN_INVALID` for mismatched shapes
 */
export function binaryCrossEntropy(
  g: GraphBuilder,
  logits: Value,
  targets: Value,
  { posWeight, weight, ...options }: BinaryCrossEntropyOptions = {},
): Value {
  sameShape('Binary cross-entropy', logits, targets);
  const x = wide(g, logits);
  const cost = binaryCost(g, x, typed(g, targets, x), posWeight);
  return reduce(g, weight ? g.Mul(cost, typed(g, weight, x)) : cost, options);
}

/** Binary cross-entropy per element. @param y constant of x's type and shape */
export function binaryCost(g: GraphBuilder, x: Value, y: Value, posWeight?: number | readonly number[]): Value {
  // log(1 + exp(−|x|)) does not overflow.
  const tail = g.Log(g.Add(g.Exp(g.Neg(g.Abs(x))), 1));
  if (posWeight === undefined) {
    const cost = g.Add(g.Sub(g.Relu(x), g.Mul(x, y)), tail);
    return g.withGradient(cost, [{ by: x, gradient: g.Sub(g.Sigmoid(x), y) }]);
  }
  // (1 − y)·x + (1 + (p − 1)·y)·log(1 + exp(−x)), with the derivative (1 + (p − 1)·y)·σ(x) − p·y
  const p = typeof posWeight === 'number' ? posWeight : lastAxis(g, posWeight, x);
  const positives = g.Mul(y, p);
  const share = g.Add(g.Sub(positives, y), 1);
  const cost = g.Add(g.Sub(x, g.Mul(x, y)), g.Mul(share, g.Add(tail, g.Relu(g.Neg(x)))));
  return g.withGradient(cost, [{ by: x, gradient: g.Sub(g.Mul(share, g.Sigmoid(x)), positives) }]);
}

function lastAxis(g: GraphBuilder, values: readonly number[], x: Value): Value {
  const size = shapeOf(x).at(-1);
  if (values.length === size) return numbers(g, values, [size], x);
  throw invalid(`there are ${values.length} posWeights for the last axis of "${x.name}" ${formatShape(x.shape)}.`);
}
