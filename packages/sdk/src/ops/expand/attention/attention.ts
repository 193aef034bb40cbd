/** @file Attention of com.microsoft, with packed projections of queries, keys and values inside. */

import type { Value } from '../../../graph/builder.ts';
import { maskedAttention } from './attentionMask.ts';
import { joinHeads, splitHeads } from './scaledDotProduct.ts';
import { type Expanded, type ExpansionSite, type Rule, staticDim } from '../site.ts';

/**
 * Attention with a weight `[in, q + k + v]` of static width, masks as in `maskAddend`, past and present `[2, batch,
 * heads, positions, width]`. The products `…/q`, `…/k` and `…/v` have Slices `…/q.weight` of it. Not: rotary embedding,
 * shared past buffers.
 */
export const attention: Rule = (site) => {
  const [x, weight, bias, mask, past, attentionBias] = site.inputs;
  const projected = x && weight && projections(site, x, weight, bias);
  return projected && selfAttention(site, { ...projected, mask, past, attentionBias });
};

/** x times each part of a packed weight `[in, q + k + v]` plus bias; undefined for an unknown width. */
export function projections(
  site: ExpansionSite,
  x: Value,
  weight: Value,
  bias: Value | undefined,
): Readonly<Record<'q' | 'k' | 'v', Value>> | undefined {
  const { g } = site;
  const width = staticDim(weight, 1);
  const sizes = site.ints('qkv_hidden_sizes') ?? (width === undefined ? undefined : [width / 3, width / 3, width / 3]);
  if (sizes?.length !== 3 || !sizes.every(Number.isInteger)) return undefined;
  // Defined by the operator; the producer's shape may be unknown.
  const shape = [`${x.name}/batch`, `${x.name}/positions`, staticDim(weight, 0) ?? `${x.name}/hidden`];
  const input = x.shape ? x : { ...x, shape };
  let end = 0;
  const [q, k, v] = (['q', 'k', 'v'] as const).map((name, i) => {
    const start = end;
    end += sizes[i]!;
    const part = site.named(g.Slice(weight, [start], [end], [1]), `${name}.weight`);
    const product = site.layer(g.MatMul(input, part), name);
    return bias ? g.Add(product, site.named(g.Slice(bias, [start], [end], [0]), `${name}.bias`)) : product;
  }) as [Value, Value, Value];
  return { q, k, v };
}

/** Self-attention of queries, keys and values `[batch, positions, hidden]`. */
export function selfAttention(
  site: ExpansionSite,
  inputs: {
    readonly q: Value;
    readonly k: Value;
    readonly v: Value;
    readonly mask: Value | undefined;
    readonly past: Value | undefined;
    readonly attentionBias: Value | undefined;
  },
): Expanded {
  const { g } = site;
  const { mask, past, attentionBias } = inputs;
  const heads = site.of('num_heads');
  if (heads < 1 || site.of('do_rotary') !== 0 || site.int('past_present_share_buffer', 0) !== 0) return undefined;
  const [pastKey, pastValue] = [0, 1].map((i) => past && g.Squeeze(g.Slice(past, [i], [i + 1], [0]), [0]));
  const [q, k, v] = [inputs.q, inputs.k, inputs.v].map((each) => splitHeads(site, each, heads)) as [
    Value,
    Value,
    Value,
  ];
  const attended = maskedAttention(site, { q, k, v, batched: inputs.q, mask, attentionBias, pastKey, pastValue });
  if (!attended) return undefined;
  const { hidden, keys, values } = attended;
  const present = site.wants(1) ? g.Concat([g.Unsqueeze(keys, [0]), g.Unsqueeze(values, [0])], 0) : undefined;
  return [joinHeads(site, hidden), present];
}
