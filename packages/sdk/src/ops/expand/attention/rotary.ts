/** @file Rotary position embedding: RotaryEmbedding of both domains, and its part in attention. */

import type { Value } from '../../../graph/builder.ts';
import { joinHeads, range, sizeAt, splitHeads } from './scaledDotProduct.ts';
import { type Expanded, type ExpansionSite, rankOf, type Rule, staticDim } from '../site.ts';

/** Tables of cosines and sines, a row per position; pairs are interleaved or in two halves. */
export interface Rotation {
  /** `[…, positions, width/2]`, broadcastable to x. */
  readonly cos: Value;
  readonly sin: Value;
  readonly interleaved: boolean;
}

/** Rotates pairs (a, b) of the last axis to (a·cos − b·sin, a·sin + b·cos). Undefined for a needed unknown size. */
export function rotate({ g }: ExpansionSite, x: Value, { cos, sin, interleaved }: Rotation): Value | undefined {
  const width = staticDim(x, 3);
  const half = staticDim(cos, -1);
  if (width === undefined || half === undefined || 2 * half > width) return undefined;
  const turning = 2 * half;
  const [a, b] = interleaved
    ? [g.Slice(x, [0], [turning], [3], [2]), g.Slice(x, [1], [turning], [3], [2])]
    : [g.Slice(x, [0], [half], [3]), g.Slice(x, [half], [turning], [3])];
  const left = g.Sub(g.Mul(a, cos), g.Mul(b, sin));
  const right = g.Add(g.Mul(a, sin), g.Mul(b, cos));
  const turned = interleaved
    ? g.Reshape(g.Concat([g.Unsqueeze(left, [4]), g.Unsqueeze(right, [4])], 4), [0, 0, 0, turning])
    : g.Concat([left, right], 3);
  return turning === width ? turned : g.Concat([turned, g.Slice(x, [turning], [width], [3])], 3);
}

/** Applies `turn` by head to x `[batch, positions, hidden]` or `[batch, heads, positions, width]`. */
function byHead(
  site: ExpansionSite,
  x: Value,
  width: number | undefined,
  turn: (x: Value) => Value | undefined,
): Expanded {
  if (rankOf(x) === 4) return turn(x);
  const hidden = staticDim(x, 2);
  if (rankOf(x) !== 3 || hidden === undefined || width === undefined || hidden % width !== 0) return undefined;
  const turned = turn(splitHeads(site, x, hidden / width));
  return turned && joinHeads(site, turned);
}

/** RotaryEmbedding of com.microsoft: position_ids `[1]` or `[batch, positions]`. Not: `scale`, packed batches. */
export const rotaryEmbedding: Rule = (site) => {
  const [x, ids, cos, sin] = site.inputs;
  if (!x || !ids || !cos || !sin || site.int('is_packed_batching', 0) !== 0 || site.float('scale', 1) !== 1)
    return undefined;
  const { g } = site;
  const half = staticDim(cos, 1);
  if (half === undefined) return undefined;
  const heads = site.of('num_heads');
  const hidden = staticDim(x, 2);
  const width = heads > 0 ? hidden && hidden / heads : 2 * half;
  const positions = positionRows(site, x, ids);
  if (!positions) return undefined;
  const table = (values: Value): Value => g.Unsqueeze(g.Gather(values, positions, 0), [1]);
  const rotation = { cos: table(cos), sin: table(sin), interleaved: site.of('interleaved') === 1 };
  return byHead(site, x, width, (each) => rotate(site, each, rotation));
};

/** Table row of each position: `[batch or 1, positions]`. */
function positionRows(site: ExpansionSite, x: Value, ids: Value): Value | undefined {
  const { g } = site;
  if (rankOf(ids) === 2) return ids;
  if (rankOf(ids) !== 1) return undefined;
  const axis = rankOf(x) === 4 ? 2 : 1;
  return g.Unsqueeze(g.Add(range(site, undefined, sizeAt(site, x, axis)), ids), [0]);
}

/** Standard RotaryEmbedding: tables `[positions, width/2]` with position_ids, or `[batch, positions, width/2]`. */
export const standardRotaryEmbedding: Rule = (site) => {
  const [x, cos, sin, ids] = site.inputs;
  if (!x || !cos || !sin) return undefined;
  const { g } = site;
  const table = (values: Value): Value => g.Unsqueeze(ids ? g.Gather(values, ids, 0) : values, [1]);
  const rotation = { cos: table(cos), sin: table(sin), interleaved: site.of('interleaved') === 1 };
  const heads = site.of('num_heads');
  const hidden = staticDim(x, 2);
  return byHead(site, x, heads > 0 && hidden !== undefined ? hidden / heads : undefined, (each) =>
    rotate(site, each, rotation),
  );
};
