/** @file Gradients of RMSNormalization, `y = x·inv·scale` with `inv = 1/√(mean(x²) + ε)`, from its input alone. */

import type { Value } from '../graph/builder.ts';
import { isStatic } from '../graph/value.ts';
import { sizeOf } from '../runtime/tensor.ts';
import { castTo, input, oncePerNode, rankOf, type Vjp, widened } from './vjp.ts';
import { attributeOf, axisOf } from '../ops/schema.ts';

interface Rows {
  readonly x: Value;
  readonly inv: Value;
  readonly axes: readonly number[];
}

const rowsOf = oncePerNode((site): Rows => {
  const { g, node } = site;
  const x = widened(g, input(site, 0));
  const first = axisOf(node, rankOf(x));
  const axes = Array.from({ length: rankOf(x) - first }, (_, i) => first + i);
  const row = x.shape!.slice(first);
  const square = isStatic(row)
    ? g.Mul(g.ReduceSumSquare(x, axes, true), 1 / sizeOf(row))
    : g.ReduceMean(g.Mul(x, x), axes, true);
  const inv = g.Reciprocal(g.Sqrt(g.Add(square, attributeOf(node, 'epsilon'))));
  return { x, inv, axes };
});

/** `inv·d − x·inv³·mean(d·x)` with `d = dy·scale`. */
export const rmsNormInput: Vjp = (site) => {
  const { g, dy } = site;
  const { x, inv, axes } = rowsOf(site);
  const d = g.Mul(widened(g, dy), widened(g, input(site, 1)));
  const along = g.Mul(g.ReduceMean(g.Mul(d, x), axes, true), g.Mul(inv, g.Mul(inv, inv)));
  return castTo(g, g.Sub(g.Mul(d, inv), g.Mul(x, along)), dy.type);
};

/** dscale = Σ dy·x·inv. */
export const rmsNormScale: Vjp = (site) => {
  const { g, dy } = site;
  const { x, inv } = rowsOf(site);
  return castTo(g, g.Mul(g.Mul(widened(g, dy), x), inv), input(site, 1).type);
};
