/** @file Comparisons of floats in operators of every opset and provider, and gradients of Clip, Min and Max. */

import type { GraphBuilder, Value } from '../graph/builder.ts';
import { input, type Vjp, where } from './vjp.ts';

/** Where `a = b`: bool. Equal accepts floats since opset 11. */
export function isEqual(g: GraphBuilder, a: Value, b: Value): Value {
  return g.opset >= 11 ? g.Equal(a, b) : g.And(g.Not(g.Less(a, b)), g.Not(g.Greater(a, b)));
}

/** The sign of x: 1, −1 or 0; Sign has no kernel on WebGPU. */
export function signOf(g: GraphBuilder, x: Value): Value {
  return g.Where(g.Greater(x, 0), g.scalar(1, x.type), g.Where(g.Less(x, 0), g.scalar(-1, x.type), 0));
}

/** dy within the bounds, inclusive, as torch's clamp. */
export const clipInput: Vjp = (site) => {
  const { g, y, dy } = site;
  return where(g, isEqual(g, input(site, 0), y[0]!), dy);
};

/** dy where x is below the lower bound. */
export const clipLow: Vjp = (site) => where(site.g, site.g.Less(input(site, 0), input(site, 1)), site.dy);

/** dy where x is above the upper bound. */
export const clipHigh: Vjp = (site) => where(site.g, site.g.Greater(input(site, 0), input(site, 2)), site.dy);

/** Min and Max: dy to the chosen input, shared evenly between ties as in torch. */
export const extremeOperand: Vjp = (site, index) => {
  const { g, node, x, y, dy } = site;
  const own = input(site, index);
  const [other, third] = x.filter((_, i) => i !== index);
  if (!other) return dy;
  if (!third) {
    const isBeaten = node.opType === 'Max' ? g.Less(own, other) : g.Greater(own, other);
    return g.Where(isBeaten, 0, g.Where(isEqual(g, own, other), g.Mul(dy, 0.5), dy));
  }
  const chosen = (each: Value): Value => g.Where(isEqual(g, each, y[0]!), g.scalar(1, each.type), 0);
  const winners = x.map((each) => chosen(each!)).reduce((a, b) => g.Add(a, b));
  return g.Mul(dy, g.Div(chosen(own), winners));
};
