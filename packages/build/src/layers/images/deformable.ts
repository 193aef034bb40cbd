/** @file Deformable attention: Zhu et al. 2020, "Deformable DETR". A query reads a few sampled places of each map. */

import { float32 } from '@onnx-lora/sdk';
import type { Value } from '@onnx-lora/sdk/tasks';
import type { Module } from '../module.ts';
import { asSequence } from './patches.ts';
import { planeOf } from './planePositions.ts';

/** Maps of several resolutions as one sequence. */
export interface Levels {
  /** `[batch, places, hidden]`, level after level. */
  readonly sequence: Value;
  /** Height and width of each level, int64 `[2]`. */
  readonly planes: readonly Value[];
  /** Number of places of each level, int64 `[levels]`. */
  readonly counts: Value;
}

/** Flattens maps `[batch, hidden, height, width]`. */
export function levelsOf(m: Module, maps: readonly Value[]): Levels {
  const { g } = m;
  const planes = maps.map((map) => planeOf(m, map));
  const counts = planes.map((plane) => g.ReduceProd(plane, [0], true));
  return { sequence: g.Concat(maps.map((map) => asSequence(m, map)), 1), planes, counts: g.Concat(counts, 0) }; // prettier-ignore
}

/** A deformable attention's inputs and sizes. */
export interface Sampling {
  /** Queries `[batch, queries, hidden]`. */
  readonly x: Value;
  readonly levels: Levels;
  /** Points per head of each level. */
  readonly points: readonly number[];
  readonly heads: number;
  /** Places in shares of the image from offsets `[batch, queries, heads, all points, 2]`: the same shape. */
  readonly locate: (offsets: Value) => Value;
  /** Whether values and result are projected; true by default. */
  readonly isProjected?: boolean;
}

/** Weighted sum of values at sampled places: `[batch, queries, hidden]`. */
export function deformableAttention(
  m: Module,
  { x, levels, points, heads, locate, isProjected = true }: Sampling,
): Value {
  const { g } = m;
  const hidden = Number(levels.sequence.shape!.at(-1));
  const all = points.reduce((sum, count) => sum + count, 0);
  const width = hidden / heads;
  const values = isProjected ? m.linear('value_proj', levels.sequence, hidden) : levels.sequence;
  const offsets = g.Reshape(m.linear('sampling_offsets', x, heads * all * 2), [0, 0, heads, all, 2]);
  const scores = g.Reshape(m.linear('attention_weights', x, heads * all), [0, 0, heads, all]);
  const weights = g.Softmax(scores, -1);
  // [batch · heads, queries, points, 2], from −1 to 1.
  const grid = g.Sub(g.Mul(locate(offsets), 2), 1);
  const queries = m.sizeOf(x, 1);
  const rows = (value: Value, order: readonly number[], last: readonly number[]): Value =>
    g.Reshape(g.Transpose(value, order), g.Concat([g.ints([-1]), queries, g.ints(last)], 0));
  const grids = g.Split(rows(grid, [0, 2, 1, 3, 4], [all, 2]), points, 2);
  const maps = g.emitMany('Split', [values, levels.counts], points.length, { axis: 1 });
  const mode = g.opset >= 20 ? 'linear' : 'bilinear';
  const samples = maps.map((map, i) => {
    const plane = g.Reshape(g.Transpose(map, [0, 2, 1]), g.Concat([g.ints([-1, width]), levels.planes[i]!], 0));
    return g.emit('GridSample', [plane, grids[i]!], { mode, padding_mode: 'zeros', align_corners: 0 });
  });
  const sampled = g.Concat(samples, 3);
  const weighted = g.Mul(sampled, g.Unsqueeze(rows(weights, [0, 2, 1, 3], [all]), [1]));
  const sums = g.ReduceSum(weighted, [3], false);
  const joined = g.Transpose(g.Reshape(sums, g.Concat([g.ints([-1, hidden]), queries], 0)), [0, 2, 1]);
  return isProjected ? m.linear('output_proj', joined, hidden) : joined;
}

/** Factors of the offsets around a box. */
export interface OffsetScale {
  /** Points per head of each level. */
  readonly points: readonly number[];
  /** Offsets are shares of so much of a box. */
  readonly scale: number;
  /** Name under which a checkpoint may store `1 ÷ points` for each point. */
  readonly stored?: string | undefined;
}

/** Places around boxes `[batch, queries, 4]`: offsets are shares of a box, divided by a level's points. */
export function aroundBoxes(m: Module, boxes: Value, { points, scale, stored }: OffsetScale): Sampling['locate'] {
  const { g } = m;
  const [centers, sizes] = g.Split(g.Unsqueeze(boxes, [2, 3]), [2, 2], -1) as [Value, Value];
  const shares = points.flatMap((count) => Array<number>(count).fill(1 / count));
  const own = stored !== undefined && m.has(stored) ? g.Unsqueeze(m.parameter(stored, [shares.length]), [1]) : g.constant(float32(shares, [shares.length, 1])); // prettier-ignore
  return (offsets) => g.Add(centers, g.Mul(g.Mul(g.Mul(offsets, own), sizes), scale));
}

/** Places around points `[batch, queries, 2]`: offsets count places of each level. */
export function aroundPoints(
  m: Module,
  points: Value,
  { planes }: Levels,
  counts: readonly number[],
): Sampling['locate'] {
  const { g } = m;
  const sizes = planes.map((plane, i) => {
    const [height, width] = [0, 1].map((axis) => g.Slice(plane, [axis], [axis + 1], [0])) as [Value, Value];
    return g.Expand(m.floats(g.Concat([width, height], 0)), [counts[i]!, 2]);
  });
  const each = g.Concat(sizes, 0);
  const centers = g.Unsqueeze(points, [2, 3]);
  return (offsets) => g.Add(centers, g.Div(offsets, each));
}
