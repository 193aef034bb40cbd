/** @file Gradients of reductions: dy is spread over what was reduced. */

import { OnnxLoraError } from '../errors.ts';
import type { Value } from '../graph/builder.ts';
import { intAttribute, intsAttribute } from '../graph/walk.ts';
import { frontAxis, input, rankOf, staticShape, type Vjp, type VjpSite } from './vjp.ts';

function reducedAxes(site: VjpSite): number[] {
  const rank = rankOf(input(site, 0));
  const given = intsAttribute(site.node, 'axes') ?? (site.x[1]?.ints as readonly number[] | undefined);
  if (!given && site.x[1]) {
    throw new OnnxLoraError(
      'NO_GRADIENT',
      `The gradient of ${site.node.opType} "${site.node.name}" needs axes that the graph knows.`,
    );
  }
  if (given?.length) return given.map((axis) => frontAxis(axis, rank));
  const none = intAttribute(site.node, 'noop_with_empty_axes', 0) === 1;
  return none ? [] : Array.from({ length: rank }, (_, i) => i);
}

/** dy, or another value of its shape, with the reduced axes back as 1. */
function kept(site: VjpSite, value: Value, axes: readonly number[]): Value {
  if (intAttribute(site.node, 'keepdims', 1) === 1 || axes.length === 0) return value;
  return site.g.Unsqueeze(
    value,
    [...axes].sort((a, b) => a - b),
  );
}

/** Every summand has the gradient of the sum. */
export const reduceSumBack: Vjp = (site) =>
  site.g.Expand(kept(site, site.dy, reducedAxes(site)), staticShape(input(site, 0)));

/** As ReduceSum, divided by how many were averaged. */
export const reduceMeanBack: Vjp = (site) => {
  const axes = reducedAxes(site);
  const shape = staticShape(input(site, 0));
  const count = axes.reduce((product, axis) => product * shape[axis]!, 1);
  return site.g.Expand(site.g.Mul(kept(site, site.dy, axes), 1 / count), shape);
};

/** The gradient goes to the largest elements, shared evenly between ties as torch's amax does. */
export const reduceMaxBack: Vjp = (site) => {
  const { g, y, dy } = site;
  const axes = reducedAxes(site);
  const x = input(site, 0);
  if (axes.length === 0) return dy;
  const chosen = g.Where(g.Equal(x, kept(site, y[0]!, axes)), g.scalar(1, x.type), 0);
  return g.Mul(g.Div(chosen, g.ReduceSum(chosen, axes, true)), kept(site, dy, axes));
};
