/** @file Losses of masks that queries give: of pixels and of shapes; and their costs in matching. */

import { int64 } from '@onnx-lora/sdk';
import { dataTypeNumber } from '@onnx-lora/sdk/plugin';
import { binaryCrossEntropy, type GraphBuilder, sigmoidFocal, type Value } from '@onnx-lora/sdk/tasks';

/** The loss of a mask's pixels: sigmoid focal (DETR, MaskFormer), or binary cross-entropy (Mask2Former, RF-DETR). */
export type PixelLoss = 'focal' | 'cross-entropy';

/** Settings of the focal loss, which transformers fixes. */
const FOCAL = { alpha: 0.25, gamma: 2 };

/** Masks of queries, and the objects that they are matched with. */
export interface MaskPairs {
  /** Before the sigmoid: `[batch, queries, rows, columns]`. */
  readonly masks: Value;
  /** 1 for pixels of the object: uint8 `[batch, objects, height, width]`. */
  readonly truth: Value;
  /** Query of each object: int64 `[batch, objects]`. */
  readonly queryOf: Value;
  /** Whether an object has a query: bool `[batch, objects]`. */
  readonly isPair: Value;
}

/** Sums over the pairs: the mean loss of the pixels, and one minus the Dice coefficient. */
export interface MaskCosts {
  readonly pixels: Value;
  readonly dice: Value;
}

/**
 * Costs of matched masks, at the size of the true ones.
 * @see Milletari et al., "V-Net" (2016), arXiv:1606.04797, for Dice
 */
export function maskCosts(g: GraphBuilder, { masks, truth, queryOf, isPair }: MaskPairs, loss: PixelLoss): MaskCosts {
  const [batch, queries, rows, columns] = masks.shape as [number, number, number, number];
  const [, objects, height, width] = truth.shape as [number, number, number, number];
  const pairs = batch * objects;
  const starts = g.constant(int64(Array.from({ length: batch }, (_, i) => i * queries), [batch, 1])); // prettier-ignore
  const chosen = g.Reshape(g.Add(queryOf, starts), [pairs]);
  const own = g.Reshape(g.Gather(g.Reshape(masks, [batch * queries, rows * columns]), chosen, 0), [pairs, 1, rows, columns]); // prettier-ignore
  const isSame = rows === height && columns === width;
  const linear = { mode: 'linear', coordinate_transformation_mode: 'half_pixel' };
  const wide = isSame ? own : g.emit('Resize', [own, undefined, undefined, g.ints([pairs, 1, height, width])], linear);
  const x = g.Reshape(wide, [pairs, height * width]);
  const target = g.Reshape(float(g, truth), [pairs, height * width]);
  const weight = g.Reshape(float(g, isPair), [pairs, 1]);
  const none = { reduction: 'none' } as const;
  const costs = loss === 'focal' ? sigmoidFocal(g, x, target, { ...FOCAL, ...none }) : binaryCrossEntropy(g, x, target, none); // prettier-ignore
  const total = (value: Value): Value => g.ReduceSum(g.Mul(value, weight), [0, 1], false);
  const sum = (value: Value): Value => g.ReduceSum(value, [1], true);
  const share = g.Sigmoid(x);
  const both = g.Add(g.Mul(sum(g.Mul(share, target)), 2), 1);
  const either = g.Add(g.Add(sum(share), sum(target)), 1);
  return { pixels: total(g.ReduceMean(costs, [1], true)), dice: total(g.Sub(g.scalar(1), g.Div(both, either))) };
}

/**
 * Costs of all pairs `[batch, objects, queries]`, without a gradient, at the size of the queries' masks: the weighted sum of
 * pixels and Dice.
 */
export function maskPairCosts(
  g: GraphBuilder,
  { masks, truth }: Pick<MaskPairs, 'masks' | 'truth'>,
  weights: { readonly mask: number; readonly dice: number },
  loss: PixelLoss,
): Value {
  const [batch, queries, rows, columns] = masks.shape as [number, number, number, number];
  const [, objects] = truth.shape as [number, number];
  const size = rows * columns;
  const x = g.Reshape(g.stopGradient(masks), [batch, queries, size]);
  const target = g.Reshape(float(g, nearest(g, truth, rows, columns)), [batch, objects, size]);
  const p = g.Sigmoid(x);
  const [hit, miss] = [g.Softplus(g.Neg(x)), g.Softplus(x)];
  const focal = (share: number, factor: Value, value: Value): Value => g.Mul(g.Mul(g.Mul(factor, factor), value), share); // prettier-ignore
  const isFocal = loss === 'focal';
  const inside = isFocal ? focal(FOCAL.alpha, g.Sub(g.scalar(1), p), hit) : hit;
  const outside = isFocal ? focal(1 - FOCAL.alpha, p, miss) : miss;
  const columnsOf = (value: Value): Value => g.Transpose(value, [0, 2, 1]);
  const pixels = g.Div(
    g.Add(g.MatMul(target, columnsOf(inside)), g.MatMul(g.Sub(g.scalar(1), target), columnsOf(outside))),
    size,
  );
  const both = g.Add(g.Mul(g.MatMul(target, columnsOf(p)), 2), 1);
  const either = g.Add(g.Add(columnsOf(g.ReduceSum(p, [2], true)), g.ReduceSum(target, [2], true)), 1);
  const dice = g.Sub(g.scalar(1), g.Div(both, either));
  return g.Add(g.Mul(pixels, weights.mask), g.Mul(dice, weights.dice));
}

/** The nearest pixels, as torch's `interpolate` takes them. */
function nearest(g: GraphBuilder, truth: Value, rows: number, columns: number): Value {
  const [, , height, width] = truth.shape as [number, number, number, number];
  const places = (to: number, from: number): Value => {
    const scale = Math.fround(from / to);
    return g.constant(int64(Array.from({ length: to }, (_, i) => Math.min(from - 1, Math.floor(Math.fround(i * scale)))), [to])); // prettier-ignore
  };
  const picked = rows === height ? truth : g.Gather(truth, places(rows, height), 2);
  return columns === width ? picked : g.Gather(picked, places(columns, width), 3);
}

function float(g: GraphBuilder, value: Value): Value {
  return g.Cast(value, dataTypeNumber('float32'));
}
