/** @file How likely whole sequences are, such as the answers of a language model. */

import type { GraphBuilder, Value } from '../../graph/builder.ts';
import { int32, invalid, range, rowsOf, shapeOf, typed } from './operands.ts';
import { labelCost, rowLabels, rowScores } from './rowScores.ts';

/** Options of {@link sequenceLogProbability}. */
export interface SequenceLogProbabilityOptions {
  /** Labels with this value do not count, -100 by default as in torch. */
  readonly ignoreIndex?: number | undefined;
}

/**
 * `Σ log softmax(logits)[label]` over the labels of each sequence: the logarithm of its probability. Losses that compare answers are
 * made of it. Scores of places whose label does not count are left out before anything is computed of them, as by `countedOnly` of
 * cross-entropy.
 *
 * @param logits `[batch, tokens, classes]`, float
 * @param labels `[batch, tokens]` whole numbers, one at least that counts
 * @returns `[batch]`; 0 for a sequence of which nothing counts
 * @throws OnnxLoraError `PLUGIN_INVALID` where shapes do not fit together
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
    // Of rows whose number only running tells, older operators cannot take elements.
    const costs = labelCost(g, rowScores(g, logits), index);
    return g.Neg(g.ReduceSum(g.Reshape(g.Mul(costs, typed(g, counts, costs)), shape), [1], false));
  }
  const places = g.Reshape(g.emit('NonZero', [g.Reshape(counts, [-1])]), [-1]);
  const rows = rowScores(g, g.Gather(rowsOf(g, logits), places, 0));
  const costs = labelCost(g, rows, g.Gather(index, places, 0));
  // Of each place, the sequence that it is of; the product sums up by it.
  const all = range(batch * tokens).map((place) => Math.floor(place / tokens));
  const sequence = g.Reshape(g.Gather(int32(g, all, [all.length]), places, 0), [1, -1]);
  const isOf = g.Equal(int32(g, range(batch), [batch, 1]), sequence);
  return g.Neg(g.Reshape(g.MatMul(typed(g, isOf, rows.scores), costs), [batch]));
}
