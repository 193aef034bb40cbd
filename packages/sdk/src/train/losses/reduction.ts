/** @file Reductions of per-element losses: sums and means, masked or not. */

import type { GraphBuilder, Operand, Value } from '../../graph/builder.ts';
import { formatShape } from '../../graph/value.ts';
import { sizeOf } from '../../runtime/tensor.ts';
import { expectOf } from '../graph/expected.ts';
import { invalid, isFloat, shapeOf, typed } from './operands.ts';

/** Reduction of per-element losses. */
export type Reduction = 'mean' | 'sum' | 'none';

/** Options of per-element losses. */
export interface ElementOptions {
  /**
   * Elements that count. Its axes are the loss's first ones, `[batch]` or `[batch, seq]` for `[batch, seq, hidden]`,
   * and may be 1. Bool or integers: nonzero ones count. Floats: weights.
   */
  readonly mask?: Value | undefined;
  /** `mean` by default: over what counts. */
  readonly reduction?: Reduction | undefined;
}

/** Reduces a loss of any shape. The mean over nothing is NaN, as in torch. */
export function reduce(g: GraphBuilder, losses: Value, { mask, reduction = 'mean' }: ElementOptions): Value {
  if (!mask) return reduction === 'none' ? losses : total(g, losses, reduction);
  expectOf(g, mask, { isIgnored: (value) => value === 0, ignored: '', isMean: reduction === 'mean' });
  const share = aligned(g, mask, losses);
  const counted = isFloat(mask) ? g.Mul(losses, share) : g.Where(nonZero(g, share), losses, 0);
  if (reduction === 'none') return counted;
  const sum = total(g, counted, 'sum');
  if (reduction === 'sum') return sum;
  const weight = isFloat(mask) ? share : typed(g, nonZero(g, share), losses);
  const perWeight = sizeOf(shapeOf(losses)) / sizeOf(shapeOf(share));
  return g.Div(sum, g.Mul(total(g, weight, 'sum'), perWeight));
}

/** The sum or mean of all elements, a scalar. */
export function total(g: GraphBuilder, x: Value, reduction: 'mean' | 'sum'): Value {
  const axes = (x.shape ?? shapeOf(x)).map((_, i) => i);
  if (axes.length === 0) return x;
  return reduction === 'mean' ? g.ReduceMean(x, axes, false) : g.ReduceSum(x, axes, false);
}

/** The mask with trailing axes of size 1; floats in the type of the losses. */
function aligned(g: GraphBuilder, mask: Value, losses: Value): Value {
  const [shape, whole] = [shapeOf(mask), shapeOf(losses)];
  if (shape.length > whole.length || shape.some((size, i) => size !== 1 && size !== whole[i])) {
    throw invalid(
      `the mask "${mask.name}" of shape ${formatShape(shape)} does not fit losses of shape ${formatShape(whole)}: its axes are their first ones.`,
    );
  }
  const float = isFloat(mask) ? typed(g, mask, losses) : mask;
  return shape.length === whole.length
    ? float
    : g.Reshape(float, [...shape, ...whole.slice(shape.length).map(() => 1)]);
}

function nonZero(g: GraphBuilder, mask: Value): Value {
  return mask.type === 'bool' ? mask : g.Cast(mask, 9);
}

/** `Σ weight·loss` of scalars. @throws OnnxLoraError `PLUGIN_INVALID` for an empty list */
export function weightedSum(g: GraphBuilder, parts: readonly (readonly [weight: Operand, loss: Value])[]): Value {
  const [first, ...rest] = parts.map(([weight, loss]) => (weight === 1 ? loss : g.Mul(loss, weight)));
  if (!first) throw invalid('a weighted sum needs at least one loss.');
  return rest.reduce((sum, each) => g.Add(sum, each), first);
}
