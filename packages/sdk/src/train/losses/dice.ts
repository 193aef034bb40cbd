/** @file Dice loss: how little two sets of pixels overlap. */

import type { GraphBuilder, Value } from '../../graph/builder.ts';
import { invalid, sameShape, typed, wide } from './operands.ts';
import { reduce, type Reduction } from './reduction.ts';

/** Options of {@link dice}. */
export interface DiceOptions {
  /**
   * What makes probabilities of the logits: `sigmoid` by default, where masks may overlap; `softmax` over the classes,
   * where each pixel has one; `none` where they are probabilities already.
   */
  readonly activation?: 'sigmoid' | 'softmax' | 'none' | undefined;
  /** Added above and below; 1 by default, as SAM and DETR do. */
  readonly smooth?: number | undefined;
  /** Squares the probabilities in the denominator, as V-Net does; false by default. */
  readonly squared?: boolean | undefined;
  /** `sample` by default: an overlap for each class of each sample. `batch`: one for each class over the whole batch. */
  readonly over?: 'sample' | 'batch' | undefined;
  /** Which pixels count: 0 or 1, of a shape that broadcasts to that of the logits. */
  readonly mask?: Value | undefined;
  /** `mean` by default; `none` gives `[batch, classes]`, or `[classes]` over the batch. */
  readonly reduction?: Reduction | undefined;
}

/**
 * Soft Dice loss, `1 − (2·Σ p·y + smooth) / (Σ p + Σ y + smooth)`.
 *
 * @param logits `[batch, classes or masks, ...]`, float
 * @param targets the same shape, between 0 and 1
 * @throws OnnxLoraError `PLUGIN_INVALID` where the shapes differ, or have fewer than three axes
 * @see https://arxiv.org/abs/1606.04797
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

/** Before opset 13 Softmax joins the axes from its own on, so the classes go last. */
function softmaxOver1(g: GraphBuilder, x: Value, rank: number): Value {
  const axes = Array.from({ length: rank }, (_, i) => i);
  const last = [0, ...axes.slice(2), 1];
  const back = [0, rank - 1, ...axes.slice(1, -1)];
  return g.Transpose(g.Softmax(g.Transpose(x, last), rank - 1), back);
}
