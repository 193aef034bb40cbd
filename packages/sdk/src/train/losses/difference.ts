/** @file Losses of differences: squared, absolute, and in between. */

import type { GraphBuilder, Value } from '../../graph/builder.ts';
import { invalid, sameShape, typed, wide } from './operands.ts';
import { type ElementOptions, reduce } from './reduction.ts';

/** Mean squared error of values of one shape, as torch.nn.MSELoss. @throws OnnxLoraError `PLUGIN_INVALID` */
export function meanSquaredError(
  g: GraphBuilder,
  predictions: Value,
  targets: Value,
  options: ElementOptions = {},
): Value {
  const d = difference(g, 'Mean squared error', predictions, targets);
  const cost = g.withGradient(g.Mul(d, d), [{ by: d, gradient: g.Mul(d, 2) }]);
  return reduce(g, cost, options);
}

/** Mean absolute error, as torch.nn.L1Loss; gradient 0 at 0. @throws OnnxLoraError `PLUGIN_INVALID` */
export function l1(g: GraphBuilder, predictions: Value, targets: Value, options: ElementOptions = {}): Value {
  return reduce(g, g.Abs(difference(g, 'L1', predictions, targets)), options);
}

/** Options of {@link huber}. */
export interface HuberOptions extends ElementOptions {
  /** Differences up to this are quadratic, larger ones linear; 1 by default. */
  readonly delta?: number | undefined;
}

/**
 * Huber loss of values of one shape, `d²/2` up to `delta`, `delta·(|d| − delta/2)` beyond, as torch.nn.HuberLoss.
 * @throws OnnxLoraError `PLUGIN_INVALID` for mismatched shapes, or `delta` not above 0
 */
export function huber(
  g: GraphBuilder,
  predictions: Value,
  targets: Value,
  { delta = 1, ...options }: HuberOptions = {},
): Value {
  if (!(delta > 0)) throw invalid(`delta is a difference above 0, but it is ${delta}.`);
  const d = difference(g, 'Huber’s loss', predictions, targets);
  return reduce(g, huberCost(g, d, delta), options);
}

/** Options of {@link smoothL1}. */
export interface SmoothL1Options extends ElementOptions {
  /** Differences up to this are quadratic, larger ones linear; 1 by default, and 0 is L1. */
  readonly beta?: number | undefined;
}

/**
 * Smooth L1 of values of one shape, `d²/(2·beta)` up to `beta`, `|d| − beta/2` beyond, as torch.nn.SmoothL1Loss.
 * @throws OnnxLoraError `PLUGIN_INVALID` for mismatched shapes, or `beta` below 0
 */
export function smoothL1(
  g: GraphBuilder,
  predictions: Value,
  targets: Value,
  { beta = 1, ...options }: SmoothL1Options = {},
): Value {
  if (!(beta >= 0)) throw invalid(`beta is a difference of at least 0, but it is ${beta}.`);
  if (beta === 0) return l1(g, predictions, targets, options);
  const d = difference(g, 'Smooth L1', predictions, targets);
  return reduce(g, g.Mul(huberCost(g, d, beta), 1 / beta), options);
}

/** With c the difference clipped to ±delta, both pieces are `c·(d − c/2)`, and c is the derivative. */
function huberCost(g: GraphBuilder, d: Value, delta: number): Value {
  const cut = g.Max(g.Min(d, delta), -delta);
  return g.withGradient(g.Mul(cut, g.Sub(d, g.Mul(cut, 0.5))), [{ by: d, gradient: cut }]);
}

function difference(g: GraphBuilder, loss: string, predictions: Value, targets: Value): Value {
  sameShape(loss, predictions, targets);
  const found = wide(g, predictions);
  return g.Sub(found, typed(g, targets, found));
}
