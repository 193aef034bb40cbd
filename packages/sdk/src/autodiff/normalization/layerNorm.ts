/** @file Gradients of LayerNormalization, RMSNormalization and LpNormalization. */

import type { GraphBuilder, Value } from '../../graph/builder.ts';
import { isStatic } from '../../graph/value.ts';
import { attributeOf, axisOf } from '../../ops/schema.ts';
import { sizeOf } from '../../runtime/tensor.ts';
import { signOf } from '../comparisons.ts';
import { standardized, type Standardized, standardizedBack } from './standardize.ts';
import { axesFrom, castTo, input, oncePerNode, rankOf, type Vjp, widened } from '../vjp.ts';

const normalized = oncePerNode(({ g, node, x: [x] }): Standardized => {
  const first = axisOf(node, rankOf(x!));
  return standardized(g, widened(g, x!), first, attributeOf(node, 'epsilon'));
});

/** As for standardized rows, with cotangent dy·scale. */
export const layerNormInput: Vjp = (site) => {
  const { g, dy } = site;
  const d = g.Mul(widened(g, dy), widened(g, input(site, 1)));
  return castTo(g, standardizedBack(g, d, normalized(site)), dy.type);
};

/** dscale = Σ dy·x̂, summed by the driver as for every broadcast operand. */
export const layerNormScale: Vjp = (site) => {
  const { g, dy } = site;
  return castTo(g, g.Mul(widened(g, dy), normalized(site).xhat), input(site, 1).type);
};

/** dbias = Σ dy. */
export const layerNormBias: Vjp = ({ dy }: { dy: Value; g: GraphBuilder }) => dy;

interface Rows {
  readonly x: Value;
  readonly inv: Value;
  readonly axes: readonly number[];
}

const rowsOf = oncePerNode((site): Rows => {
  const { g, node } = site;
  const x = widened(g, input(site, 0));
  const first = axisOf(node, rankOf(x));
  const axes = axesFrom(first, x);
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

/** `(dy − d·Σ dy·y) ÷ ‖x‖` with d = y for p = 2 and sign(x) for p = 1; 0 where the norm is 0. */
export const lpNormBack: Vjp = (site) => {
  const { g, node, y, dy } = site;
  const x = input(site, 0);
  const axes = [attributeOf(node, 'axis')];
  const isL1 = attributeOf(node, 'p') === 1;
  const norm = isL1 ? g.ReduceSum(g.Abs(x), axes, true) : g.ReduceL2(x, axes, true);
  const inverse = g.Where(g.Greater(norm, 0), g.Reciprocal(norm), 0);
  const along = g.ReduceSum(g.Mul(dy, y[0]!), axes, true);
  return g.Mul(g.Sub(dy, g.Mul(isL1 ? signOf(g, x) : y[0]!, along)), inverse);
};
