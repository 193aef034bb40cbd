/** @file Losses of angles between vectors. */

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
