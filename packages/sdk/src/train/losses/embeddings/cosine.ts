/** @file Losses of pairs and triplets of vectors: cosine distance, cosine embedding, triplet margin. */

import type { GraphBuilder, Value } from '../../../graph/builder.ts';
import { formatShape } from '../../../graph/value.ts';
import { int32, invalid, sameShape, shapeOf, typed, wide } from '../operands.ts';
import { type ElementOptions, reduce } from '../reduction.ts';
import { narrow } from '../rowScores.ts';

/** `1 − cos(a, b)` of `[..., width]`; `[...]` without reduction. @throws OnnxLoraError `PLUGIN_INVALID` */
export function cosineDistance(g: GraphBuilder, a: Value, b: Value, options: ElementOptions = {}): Value {
  const cosine = cosineOf(g, 'Cosine distance', a, b);
  return reduce(g, g.Sub(g.scalar(1, cosine.type), cosine), options);
}

/** Options of {@link cosineEmbedding}. */
export interface CosineEmbeddingOptions extends ElementOptions {
  /** Largest cosine without loss for pairs that do not match, from -1 to 1; 0 by default. */
  readonly margin?: number | undefined;
}

/**
 * `1 − cos(a, b)` for matching pairs, `max(0, cos(a, b) − margin)` for others, as torch.nn.CosineEmbeddingLoss.
 * @param a `[..., width]`, float
 * @param b the same shape
 * @param labels `[...]`, 1 (match) or -1
 * @returns a scalar; `[...]` without reduction
 * @throws OnnxLoraError `PLUGIN_INVALID` for mismatched shapes
 */
export function cosineEmbedding(
  g: GraphBuilder,
  a: Value,
  b: Value,
  labels: Value,
  { margin = 0, ...options }: CosineEmbeddingOptions = {},
): Value {
  const cosine = cosineOf(g, 'Cosine embedding', a, b);
  if (shapeOf(labels).join() !== shapeOf(cosine).join()) {
    throw invalid(
      `labels "${labels.name}" of shape ${formatShape(labels.shape)} do not fit pairs of shape ${formatShape(cosine.shape)}.`,
    );
  }
  const together = g.Equal(narrow(g, labels), int32(g, [1], []));
  const far = g.Sub(g.scalar(1, cosine.type), cosine);
  return reduce(g, g.Where(together, far, g.Relu(g.Sub(cosine, margin))), options);
}

/** The cosine along the last axis, with torch's denominator `sqrt((a·a + 1e-12)·(b·b + 1e-12))`. */
function cosineOf(g: GraphBuilder, loss: string, a: Value, b: Value): Value {
  const last = sameShape(loss, a, b).length - 1;
  const left = wide(g, a);
  const right = typed(g, wide(g, b), left);
  const dot = (x: Value, y: Value): Value => g.ReduceSum(g.Mul(x, y), [last], false);
  const norms = g.Mul(g.Add(dot(left, left), 1e-12), g.Add(dot(right, right), 1e-12));
  return g.Div(dot(left, right), g.Sqrt(norms));
}

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
