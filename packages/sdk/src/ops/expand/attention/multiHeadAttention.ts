/** @file MultiHeadAttention and DecoderMaskedMultiHeadAttention: attention after separate projections. */

import type { Value } from '../../../graph/builder.ts';
import { maskedAttention } from './attention.ts';
import { joinHeads, splitHeads } from './scaledDotProduct.ts';
import { type Expanded, type ExpansionSite, rankOf, type Rule, staticDim } from '../site.ts';

/**
 * MultiHeadAttention with query `[batch, queries, hidden]`, key and value `[batch, keys, hidden]` or `[batch, heads,
 * keys, width]`; or packed as `[batch, positions, heads, 3, width]` or 2. Not: shared past buffers, beam search.
 */
export const multiHeadAttention: Rule = (site) => {
  const [query, key, value, bias, mask, attentionBias, pastKey, pastValue, length, indirection] = site.inputs;
  if (length || indirection) return undefined;
  return crossAttention(site, { query, key, value, bias, mask, attentionBias, pastKey, pastValue });
};

/**
 * One step of a decoder with cross-attention. Not: a past, which shares its buffer with the present, or beam search.
 */
export const decoderMaskedMultiHeadAttention: Rule = (site) => {
  const [query, key, value, mask, attentionBias, pastKey, pastValue, length, width, indirection, bias] = site.inputs;
  if (pastKey || pastValue || length || width || indirection || site.wants(1) || site.wants(2)) return undefined;
  return crossAttention(site, { query, key, value, bias, mask, attentionBias, pastKey, pastValue });
};

type Input = 'query' | 'key' | 'value' | 'bias' | 'mask' | 'attentionBias' | 'pastKey' | 'pastValue';
type Inputs = Readonly<Record<Input, Value | undefined>>;

function crossAttention(site: ExpansionSite, inputs: Inputs): Expanded {
  const heads = site.of('num_heads');
  const { query, mask, attentionBias, pastKey, pastValue } = inputs;
  const fresh = heads > 0 ? freshHeads(site, inputs, heads) : undefined;
  if (!query || !fresh || !pastKey !== !pastValue) return undefined;
  const attended = maskedAttention(site, { ...fresh, batched: query, mask, attentionBias, pastKey, pastValue });
  return attended && [joinHeads(site, attended.hidden), attended.keys, attended.values, attended.score];
}

/** Query, key and value as `[batch, heads, positions, width]` with bias, without the past. */
function freshHeads(
  site: ExpansionSite,
  { query, key, value, bias }: Inputs,
  heads: number,
): { q: Value; k: Value; v: Value } | undefined {
  if (rankOf(query) === 5 && !key && !value) {
    const [q, k, v] = unpackedHeads(site, query!, 3);
    return bias ? undefined : { q: q!, k: k!, v: v! };
  }
  if (rankOf(query) !== 3) return undefined;
  if (rankOf(key) === 5 && !value) {
    const [k, v] = unpackedHeads(site, key!, 2);
    const q = biased(site, query!, bias, 0, staticDim(query, 2));
    return q && { q: splitHeads(site, q, heads), k: k!, v: v! };
  }
  if (!key || !value || rankOf(key) !== rankOf(value)) return undefined;
  const width = staticDim(query, 2);
  const q = biased(site, query!, bias, 0, width);
  if (rankOf(key) === 4) return q && { q: splitHeads(site, q, heads), k: key, v: value };
  if (rankOf(key) !== 3) return undefined;
  const k = biased(site, key, bias, 1, width);
  const v = biased(site, value, bias, 2, width);
  return q && k && v && { q: splitHeads(site, q, heads), k: splitHeads(site, k, heads), v: splitHeads(site, v, heads) };
}

const parts = ['q', 'k', 'v'] as const;

/** x plus its part of the bias `[q + k + v]`; queries and keys have equal widths. */
function biased(
  site: ExpansionSite,
  x: Value,
  bias: Value | undefined,
  part: 0 | 1 | 2,
  width: number | undefined,
): Value | undefined {
  if (!bias) return x;
  const total = staticDim(bias, 0);
  if (width === undefined || total === undefined) return undefined;
  const [start, end] = [part * width, part === 2 ? total : (part + 1) * width];
  return site.g.Add(x, site.named(site.g.Slice(bias, [start], [end], [0]), `${parts[part]}.bias`));
}

/** Splits `[batch, positions, heads, count, width]` into `count` values `[batch, heads, positions, width]`. */
function unpackedHeads({ g }: ExpansionSite, packed: Value, count: number): Value[] {
  const turned = g.Transpose(packed, [3, 0, 2, 1, 4]);
  return Array.from({ length: count }, (_, i) => g.Squeeze(g.Slice(turned, [i], [i + 1], [0]), [0]));
}
