/** @file Dice loss of overlapping pixel sets. */

import type { GraphBuilder, Value } from '../../graph/builder.ts';
import { invalid, sameShape, typed, wide } from './operands.ts';
import { reduce, type Reduction } from './reduction.ts';

/** Options of {@link dice}. */
export interface DiceOptions {
  /** Activation of logits: `sigmoid` (default) for masks that may overlap, `softmax` for one class per pixel, or `none`. */
  readonly activation?: 'sigmoid' | 'softmax' | 'none' | undefined;
  /** Added to numerator and denominator; 1 by default, as in SAM and DETR. */
  readonly smooth?: number | undefined;
  /** Whether to square probabilities in the denominator, as V-Net; false by default. */
  readonly squared?: boolean | undefined;
  /** `sample` by default: overlap per class and sample. `batch`: per class over the batch. */
  readonly over?: 'sample' | 'batch' | undefined;
  /** Pixels that count: 0 or 1, broadcast to the logits' shape. */
  readonly mask?: Value | undefined;
  /** `mean` by default; `none` gives `[batch, classes]`, or `[classes]` over the batch. */
  readonly reduction?: Reduction | undefined;
}

/**
 * Soft Dice loss, `1 − (2·Σ p·y + smooth) / (Σ p + Σ y + smooth)` (arXiv 1606.04797).
 * @param logits `[batch, classes or masks, ...]`, float
 * @param targets the same shape, between 0 and 1
 * @throws OnnxLoraError `PLUGIN_INVALID` for mismatched shapes, or fewer than three axes
 */
export function dice(
  g: GraphBuilder,
  logits: Value,
  targets: Value,
  { activation = 'sigmoid', smooth = 1, squared = false, over = 'sample', mask, reduction }: DiceOptions = {},
): Value {
  const { length: rank } = sameShape('Dice loss', logits, targets);
  if (rank < 3) throw invalid(`Dice loss needs [batch, classes, ...], but "${logits.name}" has ${rank} axes.`);
  const x = wide(g, logits);
  const found = activation === 'sigmoid' ? g.Sigmoid(x) : activation === 'softmax' ? softmaxOver1(g, x, rank) : x;
  const cut = (value: Value): Value => (mask ? g.Mul(value, typed(g, mask, x)) : value);
  const [p, y] = [cut(found), cut(typed(g, targets, x))];
  const axes = Array.from({ length: rank }, (_, i) => i).filter((i) => i >= 2 || (over === 'batch' && i === 0));
  const sum = (value: Value): Value => g.ReduceSum(value, axes, false);
  const size = (value: Value): Value => sum(squared ? g.Mul(value, value) : value);
  const overlap = g.Add(g.Mul(sum(g.Mul(p, y)), 2), smooth);
  const loss = g.Sub(g.scalar(1, x.type), g.Div(overlap, g.Add(g.Add(size(p), size(y)), smooth)));
  return reduce(g, loss, { reduction });
}

/** Before opset 13, Softmax flattens all axes from its own on, so the classes are moved last. */
function softmaxOver1(g: GraphBuilder, x: Value, rank: number): Value {
  const axes = Array.from({ length: rank }, (_, i) => i);
  const last = [0, ...axes.slice(2), 1];
  const back = [0, rank - 1, ...axes.slice(1, -1)];
  return g.Transpose(g.Softmax(g.Transpose(x, last), rank - 1), back);
}
