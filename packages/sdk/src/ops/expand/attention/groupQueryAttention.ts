/** @file GroupQueryAttention: decoder attention with fewer key and value heads, and rotary embedding. */

import type { Value } from '../../../graph/builder.ts';
import { rmsNorm } from '../normalization.ts';
import { rotate } from './rotary.ts';
import {
  additive, appended, attend, causal, joinHeads, lowest, range, repeatHeads, scores, sizeAt, softcapped, splitHeads,
} from './scaledDotProduct.ts'; // prettier-ignore
import { type ExpansionSite, rankOf, type Rule, staticDim } from '../site.ts';

/**
 * GroupQueryAttention: query, key and value separate or packed as `[batch, positions, (heads + 2·kv heads)·width]`.
 * Past and present are concatenated: right for prompts, right-padded or not, and for steps after a past without
 * padding; not for a past buffer longer than its contents. Not: `causal` 0, quantized or windowed caches,
 * query_seqlens, the scores as output.
 */
export const groupQueryAttention: Rule = (site) => {
  const [query, key, value, pastKey, pastValue, , , cos, sin, ids, attentionBias, headSink] = site.inputs;
  const [kScale, vScale, qNorm, kNorm, ...others] = site.inputs.slice(12);
  const [heads, groups] = [site.of('num_heads'), site.of('kv_num_heads')];
  const isKnown =
    [kScale, vScale, ...others].every((each) => !each) &&
    !qNorm === !kNorm &&
    site.int('causal', 1) === 1 &&
    site.int('sliding_window_cache', 0) === 0 &&
    site.int('qk_output', 0) === 0 &&
    site.int('kv_cache_bit_width', 0) === 0;
  if (!query || !isKnown || heads < 1 || groups < 1 || heads % groups !== 0 || !pastKey !== !pastValue)
    return undefined;
  const apart = separated(site, query, key, value, heads, groups);
  if (!apart) return undefined;
  const { g } = site;
  const queries = sizeAt(site, query, 1);
  const past = pastKey && sizeAt(site, pastKey, 2);
  const byHead = [
    normalized(site, splitHeads(site, apart.q, heads), qNorm, 'q_norm_epsilon'),
    normalized(site, splitHeads(site, apart.k, groups), kNorm, 'k_norm_epsilon'),
  ] as const;
  const turned = rotated(site, byHead, { cos, sin, ids, queries, past });
  if (!turned) return undefined;

  const k = appended(site, pastKey, turned[1]);
  const v = appended(site, pastValue, splitHeads(site, apart.v, groups));
  const window = site.int('local_window_size', -1);
  const repeated = repeatHeads(site, k, groups, heads / groups);
  const score = scores(site, turned[0], repeated, site.float('scale', 0) || undefined, []);
  if (!score) return undefined;
  const capped = softcapped(site, score);
  const seen = causal(site, queries, sizeAt(site, k, 2), past, window > 0 ? window : undefined);
  const masked = g.Add(attentionBias ? g.Add(capped, attentionBias) : capped, additive(site, seen, lowest(site)));
  const isSmooth = site.int('smooth_softmax', 0) === 1;
  const smooth = isSmooth && !headSink ? g.Unsqueeze(site.scalar(0), [0, 1, 2, 3]) : undefined;
  const sink = headSink ? g.Unsqueeze(headSink, [0, 2, 3]) : smooth;
  return [joinHeads(site, attend(site, masked, repeatHeads(site, v, groups, heads / groups), sink)), k, v];
};

/** RMS norm of queries or keys `[batch, heads, positions, width]` over the width. */
function normalized(site: ExpansionSite, x: Value, weight: Value | undefined, epsilon: string): Value {
  if (!weight) return x;
  return rmsNorm(site, x, weight, site.float(epsilon, site.float('qk_norm_epsilon', 1e-6)))![0];
}

function separated(
  site: ExpansionSite,
  query: Value,
  key: Value | undefined,
  value: Value | undefined,
  heads: number,
  groups: number,
): { q: Value; k: Value; v: Value } | undefined {
  if (key && value) return rankOf(key) === 3 && rankOf(value) === 3 ? { q: query, k: key, v: value } : undefined;
  const hidden = staticDim(query, 2);
  const width = hidden && hidden / (heads + 2 * groups);
  if (key || value || !width || !Number.isInteger(width)) return undefined;
  const [q, k, v] = site.g.Split(query, [heads * width, groups * width, groups * width], 2);
  return { q: q!, k: k!, v: v! };
}

/** Rotary embedding at positions after the past. */
function rotated(
  site: ExpansionSite,
  [q, k]: readonly [Value, Value],
  tables: Readonly<Record<'cos' | 'sin' | 'ids' | 'past', Value | undefined> & Record<'queries', Value>>,
): readonly [Value, Value] | undefined {
  if (site.of('do_rotary') !== 1) return [q, k];
  const { cos, sin, ids, queries, past } = tables;
  if (!cos || !sin) return undefined;
  const { g } = site;
  const rows = positionRows(site, ids, queries, past);
  const table = (values: Value): Value => g.Unsqueeze(g.Gather(values, rows, 0), [1]);
  const rotation = { cos: table(cos), sin: table(sin), interleaved: site.int('rotary_interleaved', 0) === 1 };
  const [left, right] = [rotate(site, q, rotation), rotate(site, k, rotation)];
  return left && right && [left, right];
}

/** Table rows `[batch or 1, positions]`. A prompt reads only the first of position_ids and counts on. */
function positionRows(site: ExpansionSite, ids: Value | undefined, queries: Value, past: Value | undefined): Value {
  const { g } = site;
  if (!ids) return g.Unsqueeze(range(site, past, past ? g.Add(past, queries) : queries), [0]);
  const first = g.Slice(ids, [0, 0], [1, 1], [0, 1]);
  const counted = g.Add(first, range(site, undefined, queries));
  return past ? g.Where(g.Equal(past, g.ints([0])), counted, ids) : counted;
}
