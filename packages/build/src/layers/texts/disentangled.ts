/** @file Disentangled attention over contents and distances: He et al. 2020, DeBERTa. */

import { int64 } from '@onnx-lora/sdk';
import type { Value } from '@onnx-lora/sdk/tasks';
import { attend, project, splitHeads } from '../attention.ts';
import { type Module, widthOf } from '../module.ts';

export interface Distances {
  /** Rows per sign; the table has twice as many. */
  readonly span: number;
  /** Distances share one row from here on; up to half the span each has its own. Absent: all have their own. */
  readonly most?: number;
}

/** Terms of the scores: content to position (`c2p`) and position to content (`p2c`). */
export interface Disentangled {
  readonly heads: number;
  readonly toPosition: boolean;
  readonly toContent: boolean;
  /** Whether distance vectors use the projections of tokens. */
  readonly isShared: boolean;
}

export interface Relative {
  /** `[1, rows, hidden]`. */
  readonly vectors: Value;
  /** Int64 `[queries, keys]`. */
  readonly rows: Value;
}

/** Table row of each distance from `-reach` to `reach` (query minus key); single precision, as in torch. */
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

/** Rows for all pairs, int64 `[length, length]`; `length` is `[1]`. */
export function distanceRows(m: Module, length: Value, distances: Distances): Value {
  const { g } = m;
  const reach = distances.most ?? distances.span;
  const [least, most] = [-reach, reach].map((each) => g.scalar(each, 'int64')) as [Value, Value];
  const places = m.range(0, length);
  const distance = g.Sub(g.Unsqueeze(places, [1]), g.Unsqueeze(places, [0]));
  const index = g.Add(g.Max(g.Min(distance, most), least), most);
  return g.Gather(g.constant(int64(rowsOf(distances), [2 * reach + 1])), index, 0);
}

/** `[batch, length, hidden]` → the same, before the output projection. */
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
  // Products of y with all distance vectors, gathered at each pair's distance.
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
