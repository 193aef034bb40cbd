/** @file Cross-entropy of class scores, and of log-probabilities. */

import type { GraphBuilder, Value } from '../../graph/builder.ts';
import { classesOf, int32, invalid, isFloat, range, rowsOf, sameShape, shapeOf, typed, wide } from './operands.ts';
import type { Reduction } from './reduction.ts';
import {
  classWeights,
  labelCost,
  reduceRows,
  type RowCosts,
  rowLabels,
  type RowScores,
  rowScores,
  targetCost,
  weighted,
} from './rowScores.ts';

/** Options of {@link crossEntropy}. */
export interface CrossEntropyOptions {
  /** Labels with this value do not count, -100 by default as in torch. */
  readonly ignoreIndex?: number | undefined;
  /** How much of a label is spread evenly over all classes, from 0 (the default) to 1. */
  readonly labelSmoothing?: number | undefined;
  /** How much each class counts; the mean is then over the weights of the labels. */
  readonly weight?: readonly number[] | undefined;
  /** `mean` by default: over the labels that count. */
  readonly reduction?: Reduction | undefined;
  /**
   * Takes the rows of scores whose labels count, and leaves the others out, before anything is computed of them; where the
   * scores are a product with weights, as a language model's are, training does not compute the others at all. For sequences
   * of which a large part is padding, or is only read. False by default; not with the reduction `none`.
   */
  readonly countedOnly?: boolean | undefined;
}

/**
 * Cross-entropy of class scores, `−log softmax(logits)[label]`.
 *
 * @param logits `[..., classes]`, float
 * @param labels `[...]` whole numbers, or `[..., classes]` floats: a distribution over the classes, taken as a constant
 * @returns a scalar; `[...]` without reduction
 * @throws OnnxLoraError `PLUGIN_INVALID` where shapes or options do not fit together
 * @see https://pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html
 */
export function crossEntropy(
  g: GraphBuilder,
  logits: Value,
  labels: Value,
  { ignoreIndex = -100, labelSmoothing = 0, weight, reduction = 'mean', countedOnly = false }: CrossEntropyOptions = {},
): Value {
  if (!(labelSmoothing >= 0 && labelSmoothing <= 1))
    throw invalid(`labelSmoothing is a share from 0 to 1, but it is ${labelSmoothing}.`);
  const shape = shapeOf(logits).slice(0, -1);
  if (isFloat(labels)) {
    sameShape('Cross-entropy with a distribution', logits, labels);
    const rows = rowScores(g, logits);
    const weights = weight && classWeights(g, weight, rows.scores);
    const costs = distributionCosts(g, rows, rowsOf(g, labels), labelSmoothing, weights);
    return reduceRows(g, { costs }, shape, reduction);
  }
  if (countedOnly && reduction === 'none')
    throw invalid('countedOnly leaves rows out, so there is no loss of each. Take their mean or sum.');
  const { index, counts } = rowLabels(g, labels, logits, ignoreIndex, reduction);
  const places = countedOnly ? g.Reshape(g.emit('NonZero', [g.Reshape(counts, [-1])]), [-1]) : undefined;
  const taken = (rows: Value): Value => (places ? g.Gather(rows, places, 0) : rows);
  const rows = rowScores(g, places ? taken(rowsOf(g, logits)) : logits);
  const weights = weight && classWeights(g, weight, rows.scores);
  const costs = labelCosts(g, rows, taken(index), typed(g, taken(counts), rows.scores), labelSmoothing, weights);
  return reduceRows(g, costs, shape, reduction);
}

/**
 * @param index `[rows, 1]`, int32
 * @param counts `[rows, 1]`, 1 or 0
 * @param weights `[classes]`
 */
function labelCosts(
  g: GraphBuilder,
  rows: RowScores,
  index: Value,
  counts: Value,
  labelSmoothing: number,
  weights: Value | undefined,
): RowCosts {
  if (!weights) return { costs: g.Mul(labelCost(g, rows, index, labelSmoothing), counts), counts };
  const share = g.Mul(counts, g.Gather(weights, index, 0));
  const costs = g.Mul(labelCost(g, rows, index), share);
  if (labelSmoothing === 0) return { costs, counts: share };
  // The part that is spread weighs every class by itself, and counts whatever the label.
  const classes = classesOf(rows.scores);
  const even = g.Mul(g.Reshape(weights, [1, classes]), labelSmoothing / classes);
  const spread = g.Mul(targetCost(g, rows, even), counts);
  return { costs: g.Add(g.Mul(costs, 1 - labelSmoothing), spread), counts: share };
}

function distributionCosts(
  g: GraphBuilder,
  rows: RowScores,
  labels: Value,
  labelSmoothing: number,
  weights: Value | undefined,
): Value {
  const classes = shapeOf(rows.scores)[1]!;
  const given = typed(g, labels, rows.scores);
  const smooth = labelSmoothing === 0 ? given : g.Add(g.Mul(given, 1 - labelSmoothing), labelSmoothing / classes);
  return targetCost(g, rows, weights ? g.Mul(smooth, g.Reshape(weights, [1, classes])) : smooth);
}

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
