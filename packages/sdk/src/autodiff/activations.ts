/** @file Gradients of activations, in few operators (each is a pass over memory), from x alone where free. */

import { attributeOf } from '../ops/schema.ts';
import type { Value } from '../graph/builder.ts';
import { floatAttribute } from '../graph/walk.ts';
import { input, type Vjp, where } from './vjp.ts';

/** dy above 0, alpha · dy elsewhere. */
export const leakyRelu: Vjp = (site) => {
  const { g, node, dy } = site;
  const alpha = g.scalar(attributeOf(node, 'alpha'), dy.type);
  return g.Mul(dy, g.Where(g.Greater(input(site, 0), 0), g.scalar(1, dy.type), alpha));
};

/** dy above 0, slope · dy elsewhere. */
export const preluInput: Vjp = (site) => {
  const { g, dy } = site;
  return g.Where(g.Greater(input(site, 0), 0), dy, g.Mul(dy, input(site, 1)));
};

/** dy · x below 0; the driver sums over a shared slope. */
export const preluSlope: Vjp = (site) => site.g.Mul(site.dy, site.g.Min(input(site, 0), 0));

/** The derivative is `alpha · eˣ` up to 0, and 1 above. */
export const elu: Vjp = (site) => {
  const { g, node, y, dy } = site;
  const x = input(site, 0);
  const alpha = attributeOf(node, 'alpha');
  if (alpha === 1) return g.Mul(dy, g.Exp(g.Min(x, 0)));
  return g.Mul(dy, g.Where(g.Greater(x, 0), g.scalar(1, dy.type), g.Add(y[0]!, alpha)));
};

/** The derivative is `gamma · alpha · eˣ` up to 0, and gamma above. */
export const selu: Vjp = (site) => {
  const { g, node, y, dy } = site;
  const alpha = attributeOf(node, 'alpha');
  const gamma = attributeOf(node, 'gamma');
  const below = g.Add(y[0]!, gamma * alpha);
  return g.Mul(dy, g.Where(g.Greater(input(site, 0), 0), g.scalar(gamma, dy.type), below));
};

/** The derivative is `e^(x/alpha)` up to 0, and 1 above. */
export const celu: Vjp = (site) => {
  const { g, node, dy } = site;
  const alpha = attributeOf(node, 'alpha');
  const below = g.Min(input(site, 0), 0);
  return g.Mul(dy, g.Exp(alpha === 1 ? below : g.Mul(below, 1 / alpha)));
};

/** alpha between the bounds, 0 on them and beyond, as torch. */
export const hardSigmoid: Vjp = ({ g, node, y: [y], dy }) => {
  const alpha = attributeOf(node, 'alpha');
  const isInside = g.And(g.Greater(y!, 0), g.Less(y!, 1));
  return g.Mul(dy, g.Where(isInside, g.scalar(alpha, dy.type), 0));
};

/** x/3 + ½ between −3 and 3, 0 below, 1 above. */
export const hardSwish: Vjp = (site) => {
  const { g, dy } = site;
  const x = input(site, 0);
  const inside = g.Mul(g.Add(x, 1.5), 1 / 3);
  const upTo3 = g.Where(g.Less(x, 3), inside, g.scalar(1, dy.type));
  return g.Mul(dy, g.Where(g.Greater(x, -3), upTo3, 0));
};

/** `t + x·σ(x)·(1 − t²)` with t = tanh(ln(1 + eˣ)). */
export const mish: Vjp = (site) => {
  const { g, dy } = site;
  const x = input(site, 0);
  const t = g.Tanh(g.Softplus(x));
  const rest = g.Sub(g.scalar(1, x.type), g.Mul(t, t));
  return g.Mul(dy, g.Add(t, g.Mul(g.Mul(x, g.Sigmoid(x)), rest)));
};

/** `x·σ(alpha·x)` (Swish: alpha 1, QuickGelu: 1.702) has the derivative `s·(1 + alpha·(x − y))` with s = σ(alpha·x). */
export const swish: Vjp = (site) => {
  const { g, node, y, dy } = site;
  const x = input(site, 0);
  const alpha = attributeOf(node, 'alpha');
  const scaled = (value: Value): Value => (alpha === 1 ? value : g.Mul(value, alpha));
  return g.Mul(dy, g.Mul(g.Sigmoid(scaled(x)), g.Add(scaled(g.Sub(x, y[0]!)), 1)));
};

/** (1 − |y|)² is 1 ÷ (1 + |x|)². */
export const softsign: Vjp = ({ g, y: [y], dy }) => {
  const root = g.Sub(g.scalar(1, y!.type), g.Abs(y!));
  return g.Mul(dy, g.Mul(root, root));
};

/** dy above alpha. */
export const thresholdedRelu: Vjp = (site) => {
  const { g, node, dy } = site;
  return where(g, g.Greater(input(site, 0), attributeOf(node, 'alpha')), dy);
};

/** dy where |x| > lambd. */
export const shrink: Vjp = (site) => {
  const { g, node, dy } = site;
  return where(g, g.Greater(g.Abs(input(site, 0)), floatAttribute(node, 'lambd', 0.5)), dy);
};
