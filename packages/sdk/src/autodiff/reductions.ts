/** @file Gradients of reductions: dy is spread over the reduced elements. */

import { OnnxLoraError } from '../errors.ts';
import type { Value } from '../graph/builder.ts';
import { isStatic } from '../graph/value.ts';
import { isEqual, signOf } from './comparisons.ts';
import { input, knownInts, rankOf, staticShape, type Vjp, type VjpSite } from './vjp.ts';
import { attributeOf, reducedAxes } from '../ops/schema.ts';

function axesOf(site: VjpSite): readonly number[] {
  const { node } = site;
  const axes = reducedAxes(node, rankOf(input(site, 0)), knownInts(site));
  if (axes) return axes;
  throw new OnnxLoraError(
    'NO_GRADIENT',
    `The gradient of ${node.opType} "${node.name}" needs axes that the graph knows.`,
  );
}

/** dy, or another value of its shape, with reduced axes of size 1. */
function kept(site: VjpSite, value: Value, axes: readonly number[]): Value {
  if (attributeOf(site.node, 'keepdims') === 1 || axes.length === 0) return value;
  return site.g.Unsqueeze(
    value,
    [...axes].sort((a, b) => a - b),
  );
}

/** A reduction's rule from x, its output and dy with reduced axes of size 1. Norms and logs apply without axes too. */
const reduction =
  (rule: (site: VjpSite, x: Value, y: Value, dy: Value, axes: readonly number[]) => Value): Vjp =>
  (site) => {
    const axes = axesOf(site);
    return rule(site, input(site, 0), kept(site, site.y[0]!, axes), kept(site, site.dy, axes), axes);
  };

/** dy, for every summand. */
export const reduceSumBack: Vjp = reduction(({ g }, x, _, dy) =>
  g.Expand(dy, isStatic(x.shape) ? x.shape : g.Shape(x)),
);

/** As ReduceSum, divided by the count. */
export const reduceMeanBack: Vjp = reduction(({ g }, x, _, dy, axes) => {
  const shape = staticShape(x);
  const count = axes.reduce((product, axis) => product * shape[axis]!, 1);
  return g.Expand(g.Mul(dy, 1 / count), shape);
});

/** ReduceMax and ReduceMin: dy to the chosen elements, shared evenly between ties as in torch's amax. */
export const reduceExtremeBack: Vjp = reduction(({ g }, x, y, dy, axes) => {
  if (axes.length === 0) return dy;
  const chosen = g.Where(isEqual(g, x, y), g.scalar(1, x.type), 0);
  return g.Mul(chosen, g.Div(dy, g.ReduceSum(chosen, axes, true)));
});

/** dy times the sign of x. */
export const reduceL1Back: Vjp = reduction(({ g }, x, _, dy) => g.Mul(signOf(g, x), dy));

/** dy·x/y, and 0 for a zero norm y. */
export const reduceL2Back: Vjp = reduction(({ g }, x, y, dy) => g.Mul(x, g.Where(g.Greater(y, 0), g.Div(dy, y), 0)));

/** 2·x·dy. */
export const reduceSumSquareBack: Vjp = reduction(({ g }, x, _, dy) => g.Mul(x, g.Mul(dy, 2)));

/** dy divided by the sum, which is eʸ. */
export const reduceLogSumBack: Vjp = reduction(({ g }, x, y, dy) => g.Expand(g.Div(dy, g.Exp(y)), staticShape(x)));

/** dy·e^(x − y). */
export const reduceLogSumExpBack: Vjp = reduction(({ g }, x, y, dy) => g.Mul(g.Exp(g.Sub(x, y)), dy));

/** dy times the product of all other factors, exact for zeros: with one zero only that factor has a gradient. */
export const reduceProdBack: Vjp = reduction(({ g }, x, _, dy, axes) => {
  if (axes.length === 0) return dy;
  const one = g.scalar(1, x.type);
  const isZero = isEqual(g, x, g.scalar(0, x.type));
  const zeros = g.Where(isZero, one, 0);
  const factors = g.Where(isZero, one, x);
  const othersHaveZeros = g.Greater(g.Sub(g.ReduceSum(zeros, axes, true), zeros), 0.5);
  const product = g.Mul(g.ReduceProd(factors, axes, true), dy);
  return g.Where(othersHaveZeros, 0, g.Div(product, factors));
});
