/** @file LayerNormalization, RMSNormalization and GroupNormalization, also with residual sums and embeddings. */

import type { Value } from '../../graph/builder.ts';
import { float } from '../../graph/attributes.ts';
import { type Expanded, type ExpansionSite, rankOf, type Rule, staticDim } from './site.ts';
import { channelsFirst } from './products.ts';
import { range, sizeAt } from './attention/scaledDotProduct.ts';

/**
 * LayerNormalization over the last axis, which ONNX Runtime has in the standard domain at every opset, and with
 * `statistics` the means and inverse deviations `[…, 1]`.
 */
function layerNorm(
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

/** Embedding tables `[count, hidden]`, gain and shift `[hidden]`. */
interface Tables {
  readonly words: Value;
  readonly positions: Value;
  readonly segments: Value | undefined;
  readonly gamma: Value;
  readonly beta: Value;
}

/**
 * Normalized sum of embeddings; output 1 the mask's lengths (zeros without a mask, or with `mask_index_type` 0), output
 * 2 the sum. Lookups are named `…/word_embeddings`, `…/position_embeddings` and `…/token_type_embeddings`.
 */
export const embedLayerNorm: Rule = (site) => {
  const [ids, segmentIds, words, positions, segments, gamma, beta, mask, positionIds] = site.inputs;
  if (!words || !positions || !gamma || !beta) return undefined;
  return embedded(site, { ids, segmentIds, mask, positionIds }, { words, positions, segments, gamma, beta });
};

/** {@link embedLayerNorm} with int8 tables, each dequantized whole by a scale and zero point. */
export const qEmbedLayerNorm: Rule = (site) => {
  const [ids, segmentIds] = site.inputs;
  const [words, positions, segments, gamma, beta] = [2, 3, 4, 5, 6].map((index) => {
    const [quantized, scale, zeroPoint] = [site.inputs[index], site.inputs[index + 6], site.inputs[index + 11]];
    return quantized && scale && site.g.emit('DequantizeLinear', [quantized, scale, zeroPoint]);
  });
  if (!words || !positions || !gamma || !beta) return undefined;
  const mask = site.inputs[7];
  return embedded(site, { ids, segmentIds, mask, positionIds: undefined }, { words, positions, segments, gamma, beta });
};

function embedded(
  site: ExpansionSite,
  indices: Readonly<Record<'ids' | 'segmentIds' | 'mask' | 'positionIds', Value | undefined>>,
  { words, positions, segments, gamma, beta }: Tables,
): Expanded {
  const { ids, segmentIds, mask, positionIds } = indices;
  if (!ids || !segmentIds !== !segments) return undefined;
  const { g } = site;
  const word = site.layer(g.Gather(words, ids, 0), 'word_embeddings');
  const rows = positionIds ?? g.Unsqueeze(range(site, undefined, sizeAt(site, ids, 1)), [0]);
  const position = site.layer(g.Gather(positions, rows, 0), 'position_embeddings');
  const sum = g.Add(word, position);
  const segment = segments && site.layer(g.Gather(segments, segmentIds!, 0), 'token_type_embeddings');
  const total = segment ? g.Add(sum, segment) : sum;
  const [y] = layerNorm(site, total, gamma, beta, site.of('epsilon'));
  return [y, site.wants(1) ? lengths(site, ids, mask) : undefined, total];
}

/** Lengths of the mask's rows: int32 `[batch]`. */
function lengths(site: ExpansionSite, ids: Value, mask: Value | undefined): Value {
  const { g } = site;
  if (mask && site.int('mask_index_type', 1) !== 0)
    return site.cast(g.ReduceSum(site.cast(mask, 'int64'), [1], false), 'int32');
  const batch = staticDim(ids, 0);
  if (batch !== undefined) return g.constant({ type: 'int32', dims: [batch], data: new Int32Array(batch) });
  return g.Expand(g.constant({ type: 'int32', dims: [1], data: Int32Array.of(0) }), sizeAt(site, ids, 0));
}

/** GroupNormalization; scale and bias are per channel since opset 21, before per group. */
export const groupNormalization: Rule = (site) => {
  const [x, scale, bias] = site.inputs;
  const groups = site.int('num_groups', 0);
  if (!x || !scale || !bias || groups < 1 || site.of('stash_type') !== 1) return undefined;
  return grouped(site, x, scale, bias, { groups, perGroup: site.opset < 21 });
};

/** GroupNorm and SkipGroupNorm: `activation` 1 is SiLU, skip broadcastable or `[batch, channels]`, output 1 the sum. */
export const groupNorm: Rule = (site): Expanded => {
  const [x, gamma, beta, skip, bias] = site.inputs;
  const [rank, groups] = [rankOf(x), site.int('groups', 0)];
  if (!x || !gamma || !beta || groups < 1 || rank === undefined || rank < 3) return undefined;
  const { g } = site;
  const isLast = site.of('channels_last') === 1;
  const sum = withSkip(site, x, skip, bias, isLast);
  if (!sum) return undefined;
  const activated = (first: Value): Value | undefined => {
    const normal = grouped(site, first, gamma, beta, { groups, perGroup: false });
    return normal && site.int('activation', 0) === 1 ? g.Mul(normal, g.Sigmoid(normal)) : normal;
  };
  return [isLast ? channelsFirst(site, sum, activated) : activated(sum), sum];
};

function withSkip(
  { g }: ExpansionSite,
  x: Value,
  skip: Value | undefined,
  bias: Value | undefined,
  isLast: boolean,
): Value | undefined {
  const rank = rankOf(x)!;
  const positions = Array.from({ length: rank - 2 }, (_, i) => (isLast ? i + 1 : i + 2));
  let sum = x;
  if (skip) {
    const ranks = rankOf(skip);
    if (ranks !== rank && ranks !== 2) return undefined;
    sum = g.Add(sum, ranks === 2 ? g.Unsqueeze(skip, positions) : skip);
  }
  if (!bias) return sum;
  const axes = positions.map((i) => i - 1);
  return g.Add(sum, isLast ? bias : g.Unsqueeze(bias, axes));
}

/** Normalizes x `[batch, channels, …]` per group of channels, times scale plus bias. */
function grouped(
  site: ExpansionSite,
  x: Value,
  scale: Value,
  bias: Value,
  { groups, perGroup }: { groups: number; perGroup: boolean },
): Value | undefined {
  const { g } = site;
  const [rank, channels] = [rankOf(x), staticDim(x, 1) ?? (perGroup ? undefined : staticDim(scale, 0))];
  if (rank === undefined || channels === undefined || channels % groups !== 0) return undefined;
  const isShort = x.type === 'float16' || x.type === 'bfloat16';
  const wide = isShort ? site.cast(x, 'float32') : x;
  const rows = g.Reshape(wide, [0, groups, -1]);
  const centred = g.Sub(rows, g.ReduceMean(rows, [2], true));
  const variance = g.ReduceMean(g.Mul(centred, centred), [2], true);
  const deviation = g.Sqrt(g.Add(variance, g.scalar(site.of('epsilon'), wide.type)));
  const normal = g.Div(centred, deviation);
  const back = (each: Value): Value => {
    const shaped = g.Reshape(each, g.Shape(x));
    return isShort ? site.cast(shaped, x.type!) : shaped;
  };
  const axes = Array.from({ length: rank - 2 }, (_, i) => i + 1);
  const column = (each: Value): Value => g.Unsqueeze(each, axes);
  if (perGroup) {
    // Scale and bias have the type of x, which may be narrower.
    const each = (value: Value): Value => g.Unsqueeze(site.cast(value, wide.type!), [1]);
    return back(g.Add(g.Mul(normal, each(scale)), each(bias)));
  }
  const type = x.type!;
  return g.Add(g.Mul(back(normal), column(site.cast(scale, type))), column(site.cast(bias, type)));
}
