/**
 * @file Attention where tokens and their distances have vectors of their own: He et al. 2020, "DeBERTa: decoding-enhanced BERT
 * with disentangled attention".
 */

import { int64 } from '@onnx-lora/sdk';
import type { Value } from '@onnx-lora/sdk/tasks';
import { attend, project, splitHeads } from '../attention.ts';
import { type Module, widthOf } from '../module.ts';

/** How distances are put into rows of a table. */
export interface Distances {
  /** Rows of each sign: the table has twice as many. */
  readonly span: number;
  /** From this distance on there is one row; those up to half of the span have rows of their own. Absent where all have. */
  readonly most?: number;
}

/** What of distances is seen: by a token of a key's (`c2p`), by a distance of a token's (`p2c`). */
export interface Disentangled {
  readonly heads: number;
  readonly toPosition: boolean;
  readonly toContent: boolean;
  /** Whether vectors of distances are made by the layers of tokens. */
  readonly isShared: boolean;
}

/** Distances of one text: the vectors, and which of them each query has for each key. */
export interface Relative {
  /** `[1, rows, hidden]`. */
  readonly vectors: Value;
  /** Rows, int64 `[queries, keys]`. */
  readonly rows: Value;
}

/** The row of each distance (query minus key) from `-reach` to `reach`; logarithmic in single precision, as torch computes it. */
function rowsOf({ span, most }: Distances): number[] {
  const { abs, ceil, fround, log, max, min, sign } = Math;
  const middle = span / 2;
  const ln = (x: number): number => fround(log(fround(x)));
  const place = (distance: number): number => {
    const size = abs(distance);
    if (most === undefined || size <= middle) return distance;
    const past = fround(fround(ln(size / middle) / ln((most - 1) / middle)) * (middle - 1));
    return sign(distance) * (ceil(past) + middle);
  };
  const reach = most ?? span;
  return Array.from({ length: 2 * reach + 1 }, (_, i) => min(max(place(i - reach) + span, 0), 2 * span - 1));
}

/** Rows for all pairs of a text, int64 `[length, length]`; `length` is `[1]`. */
export function distanceRows(m: Module, length: Value, distances: Distances): Value {
  const { g } = m;
  const reach = distances.most ?? distances.span;
  const [least, most] = [-reach, reach].map((each) => g.scalar(each, 'int64')) as [Value, Value];
  const places = m.range(0, length);
  const distance = g.Sub(g.Unsqueeze(places, [1]), g.Unsqueeze(places, [0]));
  const index = g.Add(g.Max(g.Min(distance, most), least), most);
  return g.Gather(g.constant(int64(rowsOf(distances), [2 * reach + 1])), index, 0);
}

/** `[batch, length, hidden]` → the same, before the layer that joins the heads. */
export function disentangledAttention(
  m: Module,
  x: Value,
  { heads, toPosition, toContent, isShared }: Disentangled,
  mask: Value,
  relative: Relative | undefined,
): Value {
  const { g } = m;
  const [q, k, v] = project(m, x, { names: ['query_proj', 'key_proj', 'value_proj'], heads });
  const scale = 1 / Math.sqrt(widthOf(q) * (1 + Number(toPosition) + Number(toContent)));
  if (!relative) return attend(m, { q, k, v, scale, mask });
  const { vectors, rows } = relative;
  const turned = (y: Value): Value => g.Transpose(y, [0, 1, 3, 2]);
  // Products of y with the vectors of all distances, of which those are taken that lie between it and each token.
  const seen = (y: Value, name: string, taken: Value): Value => {
    const products = g.MatMul(g.Mul(y, scale), turned(splitHeads(m, m.linear(name, vectors, widthOf(x)), heads)));
    const sizes = g.Concat([g.Slice(g.Shape(products), [0], [3], [0]), m.sizeOf(products, 2)], 0);
    return g.emit('GatherElements', [products, g.Expand(taken, sizes)], { axis: 3 });
  };
  const biases = [
    ...(toPosition ? [seen(q, isShared ? 'key_proj' : 'pos_key_proj', rows)] : []),
    ...(toContent ? [turned(seen(k, isShared ? 'query_proj' : 'pos_query_proj', g.Transpose(rows, [1, 0])))] : []),
  ];
  return attend(m, { q, k, v, scale, mask: [...biases, mask] });
}
