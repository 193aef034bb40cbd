/** @file Shared by the attention operators: heads, masks, the KV cache, and the products. */

import type { Value } from '../../../graph/builder.ts';
import { type ExpansionSite, staticDim } from '../site.ts';

/** `[batch, positions, heads·width]` as `[batch, heads, positions, width]`. */
export function splitHeads({ g }: ExpansionSite, x: Value, heads: number): Value {
  const hidden = staticDim(x, 2);
  return g.Transpose(g.Reshape(x, [0, 0, heads, hidden === undefined ? -1 : hidden / heads]), [0, 2, 1, 3]);
}

/** `[batch, heads, positions, width]` as `[batch, positions, heads·width]`. */
export function joinHeads({ g }: ExpansionSite, x: Value): Value {
  const [heads, width] = [staticDim(x, 1), staticDim(x, 3)];
  const hidden = heads === undefined || width === undefined ? -1 : heads * width;
  return g.Reshape(g.Transpose(x, [0, 2, 1, 3]), [0, 0, hidden]);
}

/** Keys or values `[batch, heads, positions, width]` after the past. */
export function appended({ g }: ExpansionSite, past: Value | undefined, x: Value): Value {
  return past ? g.Concat([past, x], 2) : x;
}

/** Repeats each key or value head `times` times: `[batch, heads·times, positions, width]`. */
export function repeatHeads({ g }: ExpansionSite, x: Value, heads: number, times: number): Value {
  if (times === 1) return x;
  const width = staticDim(x, 3) ?? -1;
  const row = g.Unsqueeze(x, [2]);
  const repeated = g.Concat(new Array<Value>(times).fill(row), 2);
  // Only one of positions and width can be inferred.
  if (width > 0) return g.Reshape(repeated, [0, heads * times, -1, width]);
  const shape = g.Shape(x);
  return g.Reshape(repeated, g.Concat([g.ints([0, heads * times]), g.Slice(shape, [2], [4], [0])], 0));
}

/** The size of an axis as int64 `[1]`. */
export function sizeAt({ g }: ExpansionSite, x: Value, axis: number): Value {
  return g.Slice(g.Shape(x), [axis], [axis + 1], [0]);
}

/** The int64 range from `start` to `end`, both `[1]`. */
export function range({ g }: ExpansionSite, start: Value | undefined, end: Value): Value {
  const first = start ? g.Squeeze(start, [0]) : g.scalar(0, 'int64');
  return g.emit('Range', [first, g.Squeeze(end, [0]), g.scalar(1, 'int64')]);
}

/** Causal mask, bool `[queries, keys]`, with `past` keys before the first query. A query sees `window` keys, or all. */
export function causal(
  site: ExpansionSite,
  queries: Value,
  keys: Value,
  past: Value | undefined,
  window?: number,
): Value {
  const { g } = site;
  const end = past ? g.Add(past, queries) : queries;
  const rows = g.Unsqueeze(range(site, past, end), [1]);
  const columns = g.Unsqueeze(range(site, undefined, keys), [0]);
  const before = g.LessOrEqual(columns, rows);
  if (window === undefined) return before;
  return g.And(before, g.Greater(columns, g.Sub(rows, g.scalar(window, 'int64'))));
}

/** 0 where the condition holds, else `filter`, in the node's float type. */
export function additive(site: ExpansionSite, condition: Value, filter: number): Value {
  return site.g.Where(condition, site.scalar(0), site.scalar(filter));
}

/** Lowest finite number of the node's float type, which masks future keys. */
export function lowest({ floatType }: ExpansionSite): number {
  return floatType === 'float16' ? -65504 : -3.4028234663852886e38;
}

/** Where an integer mask keeps a key: bool. */
export function positive({ g }: ExpansionSite, mask: Value): Value {
  const zero = g.constant({ type: 'int32', dims: [], data: Int32Array.of(0) });
  return mask.type === 'bool' ? mask : g.Greater(mask, mask.type === 'int64' ? g.scalar(0, 'int64') : zero);
}

/** Scores `scale · q · kᵀ` plus all masks: `[batch, heads, queries, keys]`. */
export function scores(
  site: ExpansionSite,
  q: Value,
  k: Value,
  scale: number | undefined,
  masks: readonly (Value | undefined)[],
): Value | undefined {
  const { g } = site;
  const width = staticDim(q, 3) ?? staticDim(k, 3);
  if (scale === undefined && width === undefined) return undefined;
  const product = g.MatMul(q, g.Transpose(k, [0, 1, 3, 2]));
  const scaled = g.Mul(product, site.scalar(scale ?? 1 / Math.sqrt(width!)));
  return masks.reduce<Value>((sum, mask) => (mask ? g.Add(sum, mask) : sum), scaled);
}

/** Scores limited to ±`softcap`, if the node has one. */
export function softcapped(site: ExpansionSite, score: Value): Value {
  const softcap = site.float('softcap', 0);
  return softcap > 0 ? site.g.Mul(site.g.Tanh(site.g.Div(score, site.scalar(softcap))), site.scalar(softcap)) : score;
}

/**
 * Attention output `[batch, heads, queries, width]`; `sink` is an extra score `[1, heads or 1, 1, 1]` of a zero value.
 */
export function attend({ g }: ExpansionSite, score: Value, v: Value, sink?: Value): Value {
  if (!sink) return g.MatMul(g.Softmax(score, -1), v);
  const rows = g.Concat([g.Slice(g.Shape(score), [0], [3], [0]), g.ints([1])], 0);
  const weights = g.Softmax(g.Concat([score, g.Expand(sink, rows)], 3), -1);
  return g.MatMul(g.Slice(weights, [0], [-1], [3]), v);
}
