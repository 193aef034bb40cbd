/**
 * @file Gradients of LayerNormalization, from its input alone.
 *
 * The forward node's own Mean and InvStdDev outputs are not used: the runtime may fuse that node with the Add before it,
 * and some providers then do not compute them.
 */

import type { GraphBuilder, Value } from '../graph/builder.ts';
import { type Standardized, standardized, standardizedBack } from './standardize.ts';
import { castTo, input, oncePerNode, rankOf, type Vjp, widened } from './vjp.ts';
import { attributeOf, axisOf } from '../ops/schema.ts';

const normalized = oncePerNode(({ g, node, x: [x] }): Standardized => {
  const first = axisOf(node, rankOf(x!));
  return standardized(g, widened(g, x!), first, attributeOf(node, 'epsilon'));
});

/** That of the standardised rows, with dy·scale for their cotangent. */
export const layerNormInput: Vjp = (site) => {
  const { g, dy } = site;
  const d = g.Mul(widened(g, dy), widened(g, input(site, 1)));
  return castTo(g, standardizedBack(g, d, normalized(site)), dy.type);
};

/** dscale = Σ dy·x̂; the sum is the driver's, as of every broadcast operand. */
export const layerNormScale: Vjp = (site) => {
  const { g, dy } = site;
  return castTo(g, g.Mul(widened(g, dy), normalized(site).xhat), input(site, 1).type);
};

/** dbias = Σ dy. */
export const layerNormBias: Vjp = ({ dy }: { dy: Value; g: GraphBuilder }) => dy;
