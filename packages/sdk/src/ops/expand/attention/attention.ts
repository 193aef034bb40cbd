/** @file Attention of com.microsoft with packed projections, and masked attention by head. */

import type { Value } from '../../../graph/builder.ts';
import {
  additive,
  appended,
  attend,
  causal,
  joinHeads,
  lowest,
  positive,
  range,
  scores,
  sizeAt,
  splitHeads,
} from './scaledDotProduct.ts';
import { type Expanded, type ExpansionSite, type Rule, staticDim } from '../site.ts';
import { multiply } from '../../dim.ts';

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
  inputs: Readonly<Record<'q' | 'k' | 'v', Value> & Record<'mask' | 'past' | 'attentionBias', Value | undefined>>,
): Expanded {
  const { g } = site;
  const { mask, past, attentionBias } = inputs;
  const heads = site.of('num_heads');
  if (heads < 1 || site.of('do_rotary') !== 0 || site.int('past_present_share_buffer', 0) !== 0) return undefined;
  const [pastKey, pastValue] = [0, 1].map((i) => past && g.Squeeze(g.Slice(past, [i], [i + 1], [0]), [0]));
  const byHead = (x: Value): Value => splitHeads(site, x, heads);
  const fresh = { q: byHead(inputs.q), k: byHead(inputs.k), v: byHead(inputs.v) };
  const attended = maskedAttention(site, { ...fresh, batched: inputs.q, mask, attentionBias, pastKey, pastValue });
  if (!attended) return undefined;
  const { hidden, keys, values } = attended;
  const present = site.wants(1) ? g.Concat([g.Unsqueeze(keys, [0]), g.Unsqueeze(values, [0])], 0) : undefined;
  return [joinHeads(site, hidden), present];
}

interface MaskContext {
  /** A value with the batch on axis 0. */
  readonly batched: Value;
  /** Number of queries and keys, int64 `[1]`. */
  readonly queries: Value;
  readonly keys: Value;
  /** Number of keys before the first query; undefined for none. */
  readonly past: Value | undefined;
  /** Addend of a hidden key. */
  readonly filter: number;
}

/**
 * Additive mask from lengths `[batch]`; ends and starts `[2·batch]`; or ones `[batch, keys]`, `[batch, queries, keys]`
 * or `[batch, 1, longest, longest]`. Undefined for other forms.
 */
function maskAddend(site: ExpansionSite, mask: Value, context: MaskContext): Value | undefined {
  const { g } = site;
  const { past, queries, keys, filter } = context;
  const hide = (condition: Value): Value => additive(site, condition, filter);
  switch (mask.shape?.length) {
    case 1: {
      const seen = withinBounds(site, mask, context);
      return seen && hide(g.Unsqueeze(seen, [1, 2]));
    }
    case 2:
      return hide(g.Unsqueeze(positive(site, mask), [1, 2]));
    case 3:
      return hide(g.Unsqueeze(positive(site, mask), [1]));
    case 4: {
      const first = past ?? g.ints([0]);
      const end = past ? g.Add(past, queries) : queries;
      const rows = g.emit('Slice', [mask, first, end, g.ints([2])]);
      return hide(positive(site, g.emit('Slice', [rows, g.ints([0]), keys, g.ints([3])])));
    }
    default:
      return undefined;
  }
}

/** Keys between start and end: bool `[batch, keys]`. */
function withinBounds(site: ExpansionSite, mask: Value, { batched, keys }: MaskContext): Value | undefined {
  const { g } = site;
  const [batch, count] = [batched.shape?.[0], mask.shape?.[0]];
  if (typeof batch === 'number' && typeof count === 'number' && count !== batch && count !== 2 * batch)
    return undefined;
  const given = site.cast(mask, 'int64');
  const columns = g.Unsqueeze(range(site, undefined, keys), [0]);
  if (count === batch) return g.Less(columns, g.Unsqueeze(given, [1]));
  const size = sizeAt(site, batched, 0);
  // If the form is unknown, missing starts are zeros.
  const isSure = batch !== undefined && count === multiply(2, batch);
  const bounds = isSure ? given : g.Concat([given, g.Expand(g.ints([0]), size)], 0);
  const ends = g.emit('Slice', [bounds, g.ints([0]), size, g.ints([0])]);
  const starts = g.emit('Slice', [bounds, size, g.Add(size, size), g.ints([0])]);
  return g.And(g.Less(columns, g.Unsqueeze(ends, [1])), g.GreaterOrEqual(columns, g.Unsqueeze(starts, [1])));
}

/** Masked attention by head behind a past. Undefined for an unknown form of the mask or a needed size. */
export function maskedAttention(
  site: ExpansionSite,
  inputs: Readonly<
    Record<'q' | 'k' | 'v' | 'batched', Value> &
      Record<'mask' | 'attentionBias' | 'pastKey' | 'pastValue', Value | undefined>
  >,
): Readonly<Record<'hidden' | 'keys' | 'values' | 'score', Value>> | undefined {
  const { q, batched, mask, attentionBias, pastKey, pastValue } = inputs;
  const keys = appended(site, pastKey, inputs.k);
  const values = appended(site, pastValue, inputs.v);
  const unidirectional = site.int('unidirectional', 0) === 1 && staticDim(q, 2) !== 1;
  const masks: (Value | undefined)[] = [attentionBias];
  if (mask || unidirectional) {
    const [queryCount, keyCount] = [sizeAt(site, q, 2), sizeAt(site, keys, 2)];
    const past = pastKey && sizeAt(site, pastKey, 2);
    const filter = site.float('mask_filter_value', -10000);
    const addend = mask && maskAddend(site, mask, { batched, queries: queryCount, keys: keyCount, past, filter });
    if (mask && !addend) return undefined;
    const seen = unidirectional ? causal(site, queryCount, keyCount, past) : undefined;
    masks.push(addend, seen && additive(site, seen, lowest(site)));
  }
  const score = scores(site, q, keys, site.float('scale', 0) || undefined, masks);
  return score && { hidden: attend(site, score, values), keys, values, score };
}
