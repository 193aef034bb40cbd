/** @file Positions of the places of a map, by rows and columns: `[1, height · width, hidden]`. */

import { float32 } from '@onnx-lora/sdk';
import type { Value } from '@onnx-lora/sdk/tasks';
import type { Module } from '../module.ts';

/** Height and width of a map `[batch, channels, height, width]`, int64 `[2]`. */
export function planeOf({ g }: Module, map: Value): Value {
  return g.Slice(g.Shape(map), [2], [4], [0]);
}

/** Repeats numbers of rows `[height, n]` and of columns `[width, n]` over a plane, as the exporters of torch do. */
function overPlane(m: Module, map: Value, axes: readonly (readonly [numbers: Value, axis: 2 | 3])[]): Value {
  const { g } = m;
  const plane = planeOf(m, map);
  const wide = axes.map(([numbers, axis]) => {
    const width = Number(numbers.shape!.at(-1));
    return g.Expand(g.Unsqueeze(numbers, [axis === 2 ? 1 : 0]), g.Concat([plane, g.ints([width])], 0));
  });
  const all = g.Concat(wide, 2);
  return g.Reshape(all, [1, -1, Number(all.shape!.at(-1))]);
}

/** `factor ÷ base^(i ÷ count)`, `[1, count]`. */
function waveNumbers({ g }: Module, count: number, base: number, factor = 1): Value {
  const waves = Float32Array.from({ length: count }, (_, i) => factor / base ** (i / count));
  return g.constant(float32(waves, [1, count]));
}

/** Sines and cosines of angles, in turns: `[…, n]` → `[rows, 2 · n]`. */
function sineCosinePairs({ g }: Module, angles: Value): Value {
  const pairs = g.Concat([g.Unsqueeze(g.Sin(angles), [2]), g.Unsqueeze(g.Cos(angles), [2])], 2);
  return g.Reshape(pairs, [-1, 2 * Number(angles.shape!.at(-1))]);
}

/** DETR's: rows, then columns, counted as shares of a full turn, from 1 − `shift`. */
export function sinePositions(m: Module, map: Value, hidden: number, shift = 0): Value {
  const { g } = m;
  const waves = waveNumbers(m, hidden / 4, 10_000, 2 * Math.PI);
  const axis = (i: 2 | 3): readonly [Value, 2 | 3] => {
    const size = m.sizeOf(map, i);
    const places = g.Div(g.Add(m.floats(m.range(0, size)), 1 - shift), g.Add(m.floats(size), 1e-6));
    return [sineCosinePairs(m, g.Mul(g.Unsqueeze(places, [1]), waves)), i];
  };
  return overPlane(m, map, [axis(2), axis(3)]);
}

/** RT-DETR's: sines and cosines of row numbers, then of column numbers. */
export function gridPositions(m: Module, map: Value, hidden: number, base: number): Value {
  const { g } = m;
  const waves = waveNumbers(m, hidden / 4, base);
  const axis = (i: 2 | 3): readonly [Value, 2 | 3] => {
    const angles = g.Mul(g.Unsqueeze(m.floats(m.range(0, m.sizeOf(map, i))), [1]), waves);
    return [g.Concat([g.Sin(angles), g.Cos(angles)], 1), i];
  };
  return overPlane(m, map, [axis(2), axis(3)]);
}

/**
 * Sines and cosines of coordinates in shares `[batch, queries, n]`, `width` numbers for each: `[batch, queries, n · width]`.
 * @param swaps whether those of y come before those of x
 */
export function sinesOf(m: Module, coordinates: Value, width: number, swaps = true): Value {
  const { g } = m;
  const count = Number(coordinates.shape!.at(-1));
  const waves = waveNumbers(m, width / 2, 10_000, 2 * Math.PI);
  const angles = g.Mul(g.Unsqueeze(coordinates, [3]), waves);
  const pairs = g.Concat([g.Unsqueeze(g.Sin(angles), [4]), g.Unsqueeze(g.Cos(angles), [4])], 4);
  const each = g.Reshape(pairs, [0, 0, count, width]);
  if (!swaps) return g.Reshape(each, [0, 0, count * width]);
  const [x, y, ...sides] = g.Split(each, [1, 1, ...(count > 2 ? [count - 2] : [])], 2) as [Value, Value, ...Value[]];
  return g.Reshape(g.Concat([y, x, ...sides], 2), [0, 0, count * width]);
}

/** Rows and columns of learned positions. */
const MOST_PLACES = 50;

/** Learned rows and columns of a DETR. */
export function learnedPositions(m: Module, map: Value, hidden: number): Value {
  // In the backbone in transformers 4.
  const own = ['backbone.position_embedding', 'position_embedding'].map((path) => m.at(path));
  const tables = own.find((each) => each.has('row_embeddings.weight')) ?? own[0]!;
  const table = (name: string, axis: 2 | 3): readonly [Value, 2 | 3] => [
    tables.embedding(name, m.range(0, m.sizeOf(map, axis)), MOST_PLACES, hidden / 2),
    axis,
  ];
  return overPlane(m, map, [table('column_embeddings', 3), table('row_embeddings', 2)]);
}
