/**
 * @file Gradients of LayerNormalization, from its input alone.
 *
 * The forward node's own Mean and InvStdDev outputs are not used: the runtime may fuse that node with the Add before it,
 * and some providers then do not compute them.
 */

import { float, type GraphBuilder, type Value } from '../graph/builder.ts';
import { floatAttribute, intAttribute } from '../graph/walk.ts';
import { float32 } from '../runtime/tensor.ts';
import { frontAxis, input, rankOf, type Vjp, type VjpSite } from './vjp.ts';

function axesOf({ node, x }: VjpSite): number[] {
  const rank = rankOf(x[0]!);
  const first = frontAxis(intAttribute(node, 'axis', -1), rank);
  return Array.from({ length: rank - first }, (_, i) => first + i);
}

/**
 * x̂ = (x − mean)·inv and inv = 1/√(var + ε). LayerNormalization with scale 1 yields both in one pass; before opset 17,
 * which has no such operator, they are computed step by step.
 */
function normalized(site: VjpSite, axes: readonly number[]): { xhat: Value; inv: Value } {
  const { g, node } = site;
  const x = input(site, 0);
  const epsilon = floatAttribute(node, 'epsilon', 1e-5);
  const width = x.shape?.at(-1);
  if (g.opset >= 17 && x.type === 'float32' && axes.length === 1 && typeof width === 'number') {
    const ones = g.constant(float32(new Float32Array(width).fill(1), [width]));
    const [xhat, , inv] = g.emitMany('LayerNormalization', [x, ones], 3, { axis: -1, epsilon: float(epsilon) });
    return { xhat: xhat!, inv: inv! };
  }
  const centred = g.Sub(x, g.ReduceMean(x, axes, true));
  const variance = g.ReduceMean(g.Mul(centred, centred), axes, true);
  const inv = g.Reciprocal(g.Sqrt(g.Add(variance, epsilon)));
  return { xhat: g.Mul(centred, inv), inv };
}

/** dx = inv·(d − mean(d) − x̂·mean(d·x̂)) with d = dy·scale. */
export const layerNormInput: Vjp = (site) => {
  const { g, dy } = site;
  const axes = axesOf(site);
  const { xhat, inv } = normalized(site, axes);
  const d = g.Mul(dy, input(site, 1));
  const along = g.ReduceMean(g.Mul(d, xhat), axes, true);
  return g.Mul(g.Sub(g.Sub(d, g.ReduceMean(d, axes, true)), g.Mul(xhat, along)), inv);
};

/** dscale = Σ dy·x̂; the sum is the driver's, as of every broadcast operand. */
export const layerNormScale: Vjp = (site) => site.g.Mul(site.dy, normalized(site, axesOf(site)).xhat);

/** dbias = Σ dy. */
export const layerNormBias: Vjp = ({ dy }: { dy: Value; g: GraphBuilder }) => dy;
