/** @file Metric learning: embeddings of a label should be close, and far from those of others. */

import type { GraphBuilder, Value } from '../../../graph/builder.ts';
import { dataTypeNumber } from '../../../graph/dataType.ts';
import { formatShape } from '../../../graph/value.ts';
import { identity, unit } from './contrastive.ts';
import { invalid, shapeOf, typed, wide } from '../operands.ts';
import { total } from '../reduction.ts';
import { rowScores, targetCost } from '../rowScores.ts';

/** Larger than any difference of two cosines over a temperature, and small enough for float32. */
const FAR = 1e6;

/** Options of {@link supervisedContrastive}. */
export interface SupervisedContrastiveOptions {
  /** Divides cosines; 0.1 by default, as in the paper. */
  readonly temperature?: number | undefined;
}

/**
 * Supervised contrastive loss, the paper's L_out: each row must identify the others of its label, averaged over rows
 * that have any. Tasks must omit `lossWeight`.
 * @param embeddings `[batch, width]`, float, normalised here
 * @param labels `[batch]` integers
 * @throws OnnxLoraError `PLUGIN_INVALID` for mismatched shapes or options
 * @see https://arxiv.org/abs/2004.11362
 */
export function supervisedContrastive(
  g: GraphBuilder,
  embeddings: Value,
  labels: Value,
  { temperature = 0.1 }: SupervisedContrastiveOptions = {},
): Value {
  if (!(temperature > 0)) throw invalid(`temperature is a number above 0, but it is ${temperature}.`);
  const { rows, alike, self } = compared(g, embeddings, labels);
  const cosines = g.MatMul(rows, g.Transpose(rows, [1, 0]));
  const scores = rowScores(g, g.Sub(g.Mul(cosines, 1 / temperature), g.Mul(self, FAR)));
  const partners = g.ReduceSum(alike, [1], true);
  // A row without partners has no target, and so no cost.
  const target = g.Div(alike, g.Max(partners, 1));
  const costs = targetCost(g, scores, target);
  return meanOver(g, costs, g.Min(partners, 1));
}

/** Options of {@link batchHardTriplet}. */
export interface BatchHardTripletOptions {
  /** Required gap between the farthest of the same label and the nearest of another; 0.2 by default. */
  readonly margin?: number | undefined;
}

/**
 * Batch-hard triplet loss: per row, the farthest of its label against the nearest of another, by distance of normalised
 * embeddings, averaged over rows that have both. Tasks must omit `lossWeight`.
 * @param embeddings `[batch, width]`, float, normalised here
 * @param labels `[batch]` integers
 * @throws OnnxLoraError `PLUGIN_INVALID` for mismatched shapes
 * @see https://arxiv.org/abs/1703.07737
 */
export function batchHardTriplet(
  g: GraphBuilder,
  embeddings: Value,
  labels: Value,
  { margin = 0.2 }: BatchHardTripletOptions = {},
): Value {
  const { rows, alike, self } = compared(g, embeddings, labels);
  const cosines = g.MatMul(rows, g.Transpose(rows, [1, 0]));
  const others = g.Sub(g.Sub(1, alike), self);
  // ‖a − b‖² = 2 − 2·a·b; the root has no derivative at 0.
  const distance = (cosine: Value): Value => g.Sqrt(g.Add(g.Relu(g.Sub(2, g.Mul(cosine, 2))), 1e-12));
  const farthest = distance(g.ReduceMin(g.Add(cosines, g.Mul(g.Sub(1, alike), FAR)), [1], true));
  const nearest = distance(g.ReduceMax(g.Sub(cosines, g.Mul(g.Sub(1, others), FAR)), [1], true));
  const counts = g.Mul(g.ReduceMax(alike, [1], true), g.ReduceMax(others, [1], true));
  return meanOver(g, g.Relu(g.Add(g.Sub(farthest, nearest), margin)), counts);
}

/** Normalised rows, and `[batch, batch]` masks of other rows with the same label and of the row itself. */
function compared(g: GraphBuilder, embeddings: Value, labels: Value): { rows: Value; alike: Value; self: Value } {
  const shape = shapeOf(embeddings);
  const batch = shape[0];
  if (shape.length !== 2 || shapeOf(labels).join() !== String(batch)) {
    throw invalid(
      `metric learning needs embeddings [batch, width] and labels [batch], but "${embeddings.name}" is ${formatShape(embeddings.shape)} and "${labels.name}" ${formatShape(labels.shape)}.`,
    );
  }
  const rows = unit(g, wide(g, embeddings));
  const self = identity(g, batch!, rows);
  const numbers = labels.type === 'int32' || labels.type === 'int64' ? labels : g.Cast(labels, dataTypeNumber('int64'));
  const same = typed(g, g.Equal(g.Reshape(numbers, [-1, 1]), g.Reshape(numbers, [1, -1])), rows);
  return { rows, alike: g.Sub(same, self), self };
}

/** Weighted mean of `[rows, 1]`; 0 if nothing counts. */
function meanOver(g: GraphBuilder, costs: Value, counts: Value): Value {
  return g.Div(total(g, g.Mul(costs, counts), 'sum'), g.Max(total(g, counts, 'sum'), 1));
}
