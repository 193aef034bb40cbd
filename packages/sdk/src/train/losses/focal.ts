/** @file Focal losses: cross-entropy that down-weights easy examples. */

import type { GraphBuilder, Value } from '../../graph/builder.ts';
import { binaryCost } from './binaryCrossEntropy.ts';
import { invalid, sameShape, shapeOf, typed, wide } from './operands.ts';
import { type ElementOptions, reduce, type Reduction } from './reduction.ts';
import { labelCost, reduceRows, rowLabels, rowScores, weighted } from './rowScores.ts';

/** Options of {@link sigmoidFocal}. */
export interface SigmoidFocalOptions extends ElementOptions {
  /** Weight of positives, relative to 1 − alpha of negatives; 0.25 by default, `null` for none. */
  readonly alpha?: number | null | undefined;
  /** How fast the loss of easy examples falls; 2 by default, and 0 is cross-entropy. */
  readonly gamma?: number | undefined;
}

/**
 * Focal loss of logits, `α_t·(1 − p_t)^γ·(−log p_t)` with p_t the probability of the truth, as torchvision's
 * `sigmoid_focal_loss`.
 * @param logits any shape, float
 * @param targets the same shape, a constant between 0 and 1
 * @throws OnnxLoraError `PLUGIN_INVALID` for mismatched shapes, or `gamma` below 0
 * @see https://arxiv.org/abs/1708.02002
 */
export function sigmoidFocal(
  g: GraphBuilder,
  logits: Value,
  targets: Value,
  { alpha = 0.25, gamma = 2, ...options }: SigmoidFocalOptions = {},
): Value {
  sameShape('Focal loss', logits, targets);
  const x = wide(g, logits);
  const y = typed(g, targets, x);
  const p = g.Sigmoid(x);
  // p + y − 2·p·y is the probability of the wrong answer.
  const missed = g.Sub(g.Add(p, y), g.Mul(g.Mul(p, y), 2));
  const cost = focused(g, binaryCost(g, x, y), missed, gamma);
  if (alpha === null) return reduce(g, cost, options);
  return reduce(g, g.Mul(cost, g.Add(g.Mul(y, 2 * alpha - 1), 1 - alpha)), options);
}

/** Options of {@link softmaxFocal}. */
export interface SoftmaxFocalOptions {
  /** Weight per class; none by default. The mean is over labels that count, unweighted. */
  readonly alpha?: readonly number[] | undefined;
  /** How fast the loss of easy examples falls; 2 by default, and 0 is cross-entropy. */
  readonly gamma?: number | undefined;
  /** Label to ignore, -100 by default. */
  readonly ignoreIndex?: number | undefined;
  /** `mean` by default. */
  readonly reduction?: Reduction | undefined;
}

/**
 * Focal loss of class scores, `α[label]·(1 − p)^γ·(−log p)` with p the softmax at the label.
 * @param logits `[..., classes]`, float
 * @param labels `[...]` integers
 * @returns a scalar; `[...]` without reduction
 * @throws OnnxLoraError `PLUGIN_INVALID` for mismatched shapes or options
 */
export function softmaxFocal(
  g: GraphBuilder,
  logits: Value,
  labels: Value,
  { alpha, gamma = 2, ignoreIndex = -100, reduction = 'mean' }: SoftmaxFocalOptions = {},
): Value {
  const rows = rowScores(g, logits);
  const { index, counts } = rowLabels(g, labels, logits, ignoreIndex, reduction);
  const counted = typed(g, counts, rows.scores);
  const cost = labelCost(g, rows, index);
  const focal = focused(g, cost, g.Sub(g.scalar(1, cost.type), g.Exp(g.Neg(cost))), gamma);
  const costs = g.Mul(focal, weighted(g, counted, index, alpha, rows.scores));
  return reduceRows(g, { costs, counts: counted }, shapeOf(logits).slice(0, -1), reduction);
}

/** `missed^γ · cost`, for `missed` between 0 and 1. */
function focused(g: GraphBuilder, cost: Value, missed: Value, gamma: number): Value {
  if (!(gamma >= 0)) throw invalid(`gamma is a power of at least 0, but it is ${gamma}.`);
  if (gamma === 0) return cost;
  if (gamma === 1) return g.Mul(missed, cost);
  if (gamma === 2) return g.Mul(g.Mul(missed, missed), cost);
  // The derivative of a power below 1 is infinite at 0.
  return g.Mul(g.Pow(g.Add(g.Relu(missed), 1e-12), gamma), cost);
}
