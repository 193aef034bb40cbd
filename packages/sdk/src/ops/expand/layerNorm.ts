/** @file LayerNormalization and RMSNormalization, alone and after a residual sum. */

import type { Value } from '../../graph/builder.ts';
import { float } from '../../graph/attributes.ts';
import { type Expanded, type ExpansionSite, rankOf, type Rule } from './site.ts';

/**
 * LayerNormalization over the last axis, which ONNX Runtime has in the standard domain at every opset, and with
 * `statistics` the means and inverse deviations `[…, 1]`.
 */
export function layerNorm(
  { g }: ExpansionSite,
  x: Value,
  scale: Value,
  bias: Value | undefined,
  epsilon: number,
  statistics = false,
): readonly Value[] {
  const attributes = { axis: -1, epsilon: float(epsilon) };
  return g.emitMany('LayerNormalization', [x, scale, bias], statistics ? 3 : 1, attributes);
}

/** LayerNormalization of com.microsoft in old files: the standard one. */
export const layerNormalization: Rule = (site) => {
  const [x, scale, bias] = site.inputs;
  if (!x || !scale) return undefined;
  const attributes = { axis: site.of('axis'), epsilon: float(site.of('epsilon')) };
  return site.g.emitMany('LayerNormalization', [x, scale, bias], site.wants(1) || site.wants(2) ? 3 : 1, attributes);
};

/**
 * `x · (1/√(mean(x²) + epsilon)) · scale` over the axes from `axis` on, in float32 for half floats, and the inverse
 * root mean square; undefined for a needed rank that is unknown.
 */
export function rmsNorm(
  site: ExpansionSite,
  x: Value,
  scale: Value | undefined,
  epsilon: number,
  axis = -1,
): readonly [Value, Value] | undefined {
  const { g } = site;
  const rank = rankOf(x);
  if (axis !== -1 && rank === undefined) return undefined;
  const first = axis < 0 ? axis : axis - rank!;
  const axes = Array.from({ length: -first }, (_, i) => first + i);
  const isShort = x.type === 'float16' || x.type === 'bfloat16';
  const wide = isShort ? site.cast(x, 'float32') : x;
  const square = g.ReduceMean(g.Mul(wide, wide), axes, true);
  const inverse = g.Reciprocal(g.Sqrt(g.Add(square, g.scalar(epsilon, wide.type))));
  const normal = isShort ? site.cast(g.Mul(wide, inverse), x.type!) : g.Mul(wide, inverse);
  return [scale ? g.Mul(normal, scale) : normal, inverse];
}

/** SimplifiedLayerNormalization and RMSNormalization: any `axis`, `stash_type` 1 (float32). */
export const rmsNormalization: Rule = (site) => {
  const [x, scale] = site.inputs;
  if (!x || !scale || site.of('stash_type') !== 1) return undefined;
  return rmsNorm(site, x, scale, site.of('epsilon'), site.of('axis'));
};

/** `LayerNormalization(input + skip + bias)`; outputs: result, means, inverse deviations, sum. */
export const skipLayerNorm: Rule = (site) => {
  const [x, skip, gamma, beta, bias] = site.inputs;
  if (!x || !skip || !gamma) return undefined;
  const sum = residual(site, x, skip, bias);
  const [y, mean, inverse] = layerNorm(site, sum, gamma, beta, site.of('epsilon'), site.wants(1) || site.wants(2));
  return [y, mean, inverse, sum];
};

/** {@link skipLayerNorm} with SimplifiedLayerNormalization, standard in ONNX Runtime at every opset. */
export const skipRmsNorm: Rule = (site): Expanded => {
  const [x, skip, gamma, bias] = site.inputs;
  if (!x || !skip || !gamma) return undefined;
  const sum = residual(site, x, skip, bias);
  const attributes = { axis: -1, epsilon: float(site.of('epsilon')) };
  const outputs = site.wants(2) ? 2 : 1;
  const [y, inverse] = site.g.emitMany('SimplifiedLayerNormalization', [sum, gamma], outputs, attributes);
  return [y, undefined, inverse, sum];
};

function residual({ g }: ExpansionSite, x: Value, skip: Value, bias: Value | undefined): Value {
  return g.Add(bias ? g.Add(x, bias) : x, skip);
}
