/** @file Log-probabilities of whole sequences, such as a language model's answers. */

import type { GraphBuilder, Value } from '../../graph/builder.ts';
import { int32, invalid, range, rowsOf, shapeOf, typed } from './operands.ts';
import { labelCost, rowLabels, rowScores } from './rowScores.ts';

/** Options of {@link sequenceLogProbability}. */
export interface SequenceLogProbabilityOptions {
  /** Label to ignore, -100 by default as in torch. */
  readonly ignoreIndex?: number | undefined;
}

/**
 * `Σ log softmax(logits)[label]` over each sequence's labels, for losses that compare answers. Rows with ignored labels
 * are dropped first, as with `countedOnly` of cross-entropy.
 * @param logits `[batch, tokens, classes]`, float
 * @param labels `[batch, tokens]` integers; at least one must count
 * @returns `[batch]`; 0 for a sequence where nothing counts
 * @throws OnnxLoraError `PLUGIN_INVALID` for mismatched shapes
 */
export function sequenceLogProbability(
  g: GraphBuilder,
  logits: Value,
  labels: Value,
  { ignoreIndex = -100 }: SequenceLogProbabilityOptions = {},
): Value {
  const shape = shapeOf(labels);
  const [batch, tokens] = shape;
  if (batch === undefined || tokens === undefined || shape.length !== 2)
    throw invalid(`labels "${labels.name}" of sequences have two dimensions [batch, tokens], but ${shape.length}.`);
  const { index, counts } = rowLabels(g, labels, logits, ignoreIndex, 'mean');
  if (g.opset < 11) {
    // Older operators cannot pick elements from a dynamic number of rows.
    const costs = labelCost(g, rowScores(g, logits), index);
    return g.Neg(g.ReduceSum(g.Reshape(g.Mul(costs, typed(g, counts, costs)), shape), [1], false));
  }
  const places = g.Reshape(g.emit('NonZero', [g.Reshape(counts, [-1])]), [-1]);
  const rows = rowScores(g, g.Gather(rowsOf(g, logits), places, 0));
  const costs = labelCost(g, rows, g.Gather(index, places, 0));
  // The sequence of each position; the product sums by it.
  const all = range(batch * tokens).map((place) => Math.floor(place / tokens));
  const sequence = g.Reshape(g.Gather(int32(g, all, [all.length]), places, 0), [1, -1]);
  const isOf = g.Equal(int32(g, range(batch), [batch, 1]), sequence);
  return g.Neg(g.Reshape(g.MatMul(typed(g, isOf, rows.scores), costs), [batch]));
}
