/** @file Triplet loss: an anchor should be closer to its positive than to its negative. */

import type { GraphBuilder, Value } from '../../../graph/builder.ts';
import { invalid, sameShape, typed, wide } from '../operands.ts';
import { type ElementOptions, reduce } from '../reduction.ts';

/** Options of {@link tripletMargin}. */
export interface TripletMarginOptions extends ElementOptions {
  /** Required gap; 1 by default. */
  readonly margin?: number | undefined;
  /** Power of the distance's norm; 2 (Euclidean) by default. */
  readonly p?: number | undefined;
  /** Whether to use the distance from negative to positive if smaller than to the anchor; false by default. */
  readonly swap?: boolean | undefined;
}

/**
 * `max(0, ‖anchor − positive‖ − ‖anchor − negative‖ + margin)`, with 1e-6 added to differences, as
 * torch.nn.TripletMarginLoss.
 * @param anchor `[..., width]`, float; `positive` and `negative` of the same shape
 * @returns a scalar; `[...]` without reduction
 * @throws OnnxLoraError `PLUGIN_INVALID` for mismatched shapes, or `p` below 1
 */
export function tripletMargin(
  g: GraphBuilder,
  anchor: Value,
  positive: Value,
  negative: Value,
  { margin = 1, p = 2, swap = false, ...options }: TripletMarginOptions = {},
): Value {
  if (!(p >= 1)) throw invalid(`p is a power of at least 1, but it is ${p}.`);
  const last = sameShape('Triplet loss', anchor, positive).length - 1;
  sameShape('Triplet loss', anchor, negative);
  const first = wide(g, anchor);
  const [like, other] = [typed(g, wide(g, positive), first), typed(g, wide(g, negative), first)];
  const distance = (a: Value, b: Value): Value => norm(g, g.Add(g.Sub(a, b), 1e-6), p, last);
  let away = distance(first, other);
  if (swap) {
    const fromLike = distance(like, other);
    away = g.Where(g.Less(fromLike, away), fromLike, away);
  }
  return reduce(g, g.Relu(g.Add(g.Sub(distance(first, like), away), margin)), options);
}

function norm(g: GraphBuilder, x: Value, p: number, axis: number): Value {
  if (p === 2) return g.Sqrt(g.ReduceSum(g.Mul(x, x), [axis], false));
  if (p === 1) return g.ReduceSum(g.Abs(x), [axis], false);
  return g.Pow(g.ReduceSum(g.Pow(g.Abs(x), p), [axis], false), 1 / p);
}
