/** @file EmbedLayerNormalization and QEmbedLayerNormalization: BERT's embeddings and their normalization. */

import type { Value } from '../../graph/builder.ts';
import { layerNorm } from './layerNorm.ts';
import { range, sizeAt } from './attention/scaledDotProduct.ts';
import { type Expanded, type ExpansionSite, type Rule, staticDim } from './site.ts';

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
