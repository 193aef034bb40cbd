/** @file Negative log-likelihood, for models that give log-probabilities. */

import type { GraphBuilder, Value } from '../../graph/builder.ts';
import type { CrossEntropyOptions } from './crossEntropy.ts';
import { int32, range, rowsOf, shapeOf, typed, wide } from './operands.ts';
import { reduceRows, rowLabels, weighted } from './rowScores.ts';

/** Options of {@link negativeLogLikelihood}, as of cross-entropy. */
export type NegativeLogLikelihoodOptions = Omit<CrossEntropyOptions, 'labelSmoothing'>;

/**
 * `−logProbabilities[label]`: cross-entropy where the softmax has been taken already.
 *
 * @param logProbabilities `[..., classes]`, float
 * @param labels `[...]`, whole numbers
 * @returns a scalar; `[...]` without reduction
 * @throws OnnxLoraError `PLUGIN_INVALID` where shapes do not fit together
 * @see https://pytorch.org/docs/stable/generated/torch.nn.NLLLoss.html
 */
export function negativeLogLikelihood(
  g: GraphBuilder,
  logProbabilities: Value,
  labels: Value,
  { ignoreIndex = -100, weight, reduction = 'mean' }: NegativeLogLikelihoodOptions = {},
): Value {
  const shape = shapeOf(logProbabilities);
  const rows = rowsOf(g, wide(g, logProbabilities));
  const { index, counts } = rowLabels(g, labels, logProbabilities, ignoreIndex, reduction);
  const size = shape.at(-1)!;
  const isLabel = g.Equal(index, int32(g, range(size), [1, size]));
  const gradient = g.Neg(typed(g, isLabel, rows));
  const cost = g.withGradient(g.Neg(g.GatherElements(rows, index, 1)), [{ by: rows, gradient }]);
  const shares = weighted(g, typed(g, counts, rows), index, weight, rows);
  return reduceRows(g, { costs: g.Mul(cost, shares), counts: shares }, shape.slice(0, -1), reduction);
}
