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
  /** Label to ignore, -100 by default as in torch. */
  readonly ignoreIndex?: number | undefined;
  /** Share of a label spread evenly over all classes, from 0 (the default) to 1. */
  readonly labelSmoothing?: number | undefined;
  /** Weight per class; the mean is then over the labels' weights. */
  readonly weight?: readonly number[] | undefined;
  /** `mean` by default: over the labels that count. */
  readonly reduction?: Reduction | undefined;
  /**
   * Drops rows with ignored labels before any computation, even of the scores: for mostly padded sequences. False by
   * default; not with the reduction `none`.
   */
  readonly countedOnly?: boolean | undefined;
}

/**
 * Cross-entropy of class scores, `−log softmax(logits)[label]`, as torch.nn.CrossEntropyLoss.
 * @param logits `[..., classes]`, float
 * @param labels `[...]` integers, or `[..., classes]` floats: a constant distribution over the classes
 * @returns a scalar; `[...]` without reduction
 * @throws OnnxLoraError `PLUGIN_INVALID` for mismatched shapes or options
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

/** With `index` `[rows, 1]` int32, `counts` `[rows, 1]` of 1 or 0, `weights` `[classes]`. */
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
  // The smoothed part weights every class by itself, whatever the label.
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

/** Options of {@link negativeLogLikelihood}. */
export type NegativeLogLikelihoodOptions = Omit<CrossEntropyOptions, 'labelSmoothing'>;

/**
 * `−logProbabilities[label]`, cross-entropy after the softmax, as torch.nn.NLLLoss.
 * @param logProbabilities `[..., classes]`, float
 * @param labels `[...]` integers
 * @returns a scalar; `[...]` without reduction
 * @throws OnnxLoraError `PLUGIN_INVALID` for mismatched shapes
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
