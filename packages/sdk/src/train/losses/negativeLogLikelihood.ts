/** @file Negative log-likelihood, for models that give log-probabilities. */

import type { GraphBuilder, Value } from '../../graph/builder.ts';
import type { CrossEntropyOptions } from './crossEntropy.ts';
import { int32, rowsOf, shapeOf, typed, wide } from './operands.ts';
import { classWeights, reduceRows, rowLabels } from './rowScores.ts';

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
  const classes = int32(
    g,
    Array.from({ length: shape.at(-1)! }, (_, i) => i),
    [1, shape.at(-1)!],
  );
  const cost = g.withGradient(g.Neg(g.GatherElements(rows, index, 1)), [
    { by: rows, gradient: g.Neg(typed(g, g.Equal(index, classes), rows)) },
  ]);
  const counted = typed(g, counts, rows);
  const share = weight ? g.Mul(counted, g.Gather(classWeights(g, weight, rows), index, 0)) : counted;
  return reduceRows(g, { costs: g.Mul(cost, share), counts: share }, shape.slice(0, -1), reduction);
}
