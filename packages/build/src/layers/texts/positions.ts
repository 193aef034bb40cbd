/** @file Positions: token counts, rotary embeddings, distance biases. */

import { float32, int64 } from '@onnx-lora/sdk';
import type { Value } from '@onnx-lora/sdk/tasks';
import type { Config } from '../../checkpoint/config.ts';
import { tableOf } from '../bounds.ts';
import { joinHeads, splitHeads } from '../attention.ts';
import { RUNTIME } from '../fused.ts';
import { type Module, widthOf } from '../module.ts';

/** RoBERTa's positions `[batch, length]`: counted from `padding` + 1 over real tokens; padding has `padding`. */
export function positionsPastPadding(m: Module, ids: Value, padding: number): Value {
  const { g } = m;
  const real = m.ints(g.Not(g.Equal(ids, g.scalar(padding, 'int64'))));
  const counted = g.emit('CumSum', [real, g.scalar(1, 'int64')]);
  return g.Add(g.Mul(counted, real), g.scalar(padding, 'int64'));
}

/** Cosines and sines of positions, `[batch or 1, 1, length, half]`. */
export interface RotaryAngles {
  readonly cos: Value;
  readonly sin: Value;
}

/**
 * Rotary angles (Su et al. 2021); the halves of a head rotate with each other.
 * @param positions int64 `[batch, length]`, or `[1, length]`
 * @param frequencies angle per position, `[half]`
 * @param scale factor of cosines and sines
 */
export function rotaryAngles(
  m: Module,
  positions: Value,
  frequencies: Value | Float32Array,
  scale: number | Value = 1,
): RotaryAngles {
  const { g } = m;
  const inverse = 'name' in frequencies ? frequencies : g.constant(float32(frequencies, [frequencies.length]));
  const angles = g.Mul(m.floats(g.Unsqueeze(positions, [1, 3])), inverse);
  const scaled = (x: Value): Value => (scale === 1 ? x : g.Mul(x, scale));
  return { cos: scaled(g.Cos(angles)), sin: scaled(g.Sin(angles)) };
}

/** Rotates the leading numbers of each head of `[batch, heads, length, size]`, twice as many as angles. */
export function rotated(m: Module, x: Value, angles: RotaryAngles): Value {
  if (m.isFused) return rotatedInOne(m, x, angles, false);
  const { g } = m;
  const { cos, sin } = angles;
  const [half, size] = [Number(cos.shape!.at(-1)), Number(x.shape!.at(-1))];
  const sizes = [half, half, ...(size > 2 * half ? [size - 2 * half] : [])];
  const [a, b, ...rest] = g.Split(x, sizes, -1) as [Value, Value, ...Value[]];
  const first = g.Sub(g.Mul(a, cos), g.Mul(b, sin));
  const second = g.Add(g.Mul(b, cos), g.Mul(a, sin));
  return g.Concat([first, second, ...rest], -1);
}

/** The same with neighbouring pairs: 0 and 1, 2 and 3, and so on. */
export function rotatedPairs(m: Module, x: Value, angles: RotaryAngles): Value {
  if (m.isFused) return rotatedInOne(m, x, angles, true);
  const { g } = m;
  const { cos, sin } = angles;
  const [half, size] = [Number(cos.shape!.at(-1)), Number(x.shape!.at(-1))];
  const sizes = [2 * half, ...(size > 2 * half ? [size - 2 * half] : [])];
  const [turning, ...rest] = g.Split(x, sizes, -1) as [Value, ...Value[]];
  const [a, b] = g.Split(g.Reshape(turning, [0, 0, 0, half, 2]), [1, 1], -1) as [Value, Value];
  const [c, s] = [g.Unsqueeze(cos, [4]), g.Unsqueeze(sin, [4])];
  const pairs = g.Concat([g.Sub(g.Mul(a, c), g.Mul(b, s)), g.Add(g.Mul(b, c), g.Mul(a, s))], -1);
  return g.Concat([g.Reshape(pairs, [0, 0, 0, 2 * half]), ...rest], -1);
}

/** Fused form, heads joined. Its table has a row per token of each text, since angles differ by text. */
function rotatedInOne(m: Module, x: Value, angles: RotaryAngles, interleaved: boolean): Value {
  const [heads, size] = [Number(x.shape![1]), widthOf(x)];
  const half = widthOf(angles.cos);
  const { cos, sin, rows } = rowsOf(m, angles);
  const attributes = {
    num_heads: heads,
    rotary_embedding_dim: 2 * half === size ? 0 : 2 * half,
    interleaved: Number(interleaved),
  };
  return splitHeads(m, m.g.emit('RotaryEmbedding', [joinHeads(m, x), rows, cos, sin], attributes, RUNTIME), heads);
}

const tables = new WeakMap<RotaryAngles, RotaryAngles & { readonly rows: Value }>();

/** Angles as a table `[rows, half]`, and row indices: `[1]` for shared positions, or `[batch, length]`. */
function rowsOf(m: Module, angles: RotaryAngles): RotaryAngles & { readonly rows: Value } {
  const known = tables.get(angles);
  if (known) return known;
  const { g } = m;
  const [cos, sin] = [angles.cos, angles.sin].map((x) => g.Reshape(x, [-1, widthOf(x)])) as [Value, Value];
  const every = (): Value =>
    g.Reshape(m.range(0, m.sizeOf(cos, 0)), g.Concat([m.sizeOf(angles.cos, 0), g.ints([-1])], 0));
  const found = { cos, sin, rows: angles.cos.shape![0] === 1 ? g.ints([0]) : every() };
  tables.set(angles, found);
  return found;
}

/** `base^(−2i ÷ size)` for i below `size ÷ 2`: angle per position of pair i. */
export function rotaryFrequencies(base: number, size: number): Float32Array {
  return Float32Array.from(tableOf(Math.ceil(size / 2), (i) => 1 / Math.fround(base ** ((2 * i) / size))));
}

export interface Buckets {
  readonly buckets: number;
  /** Distances share one bucket from here on. */
  readonly most: number;
}

/** Reads two fields with defaults; half of a sign's buckets are exact and must be below `most`. */
export function readBuckets(
  c: Config,
  number: readonly [string, number],
  farthest: readonly [string, number],
): Buckets {
  const [buckets, most] = [c.whole(...number, 4), c.size(...farthest)];
  if (most <= Math.floor(buckets / 4)) throw c.unsupported(farthest[0], `It needs more than ${number[0]} ÷ 4.`);
  return { buckets, most };
}

/** Bucket of each distance from `-most` to `most` (Raffel et al. 2020), in single precision, as in torch. */
function bucketTable({ buckets, most }: Buckets): number[] {
  const { fround, log, floor, min } = Math;
  const each = floor(buckets / 2);
  const exact = floor(each / 2);
  return tableOf(2 * most + 1, (i) => {
    const distance = i - most;
    const size = Math.abs(distance);
    const past = fround(fround(fround(log(fround(size / exact))) / fround(log(most / exact))) * (each - exact));
    const place = size < exact ? size : min(exact + floor(past), each - 1);
    return place + (distance > 0 ? each : 0);
  });
}

/** Bias `[1, heads, length, length]` by key–query distance, from a table `[buckets, heads]`; `length` is `[1]`. */
export function distanceBias(m: Module, table: Value, length: Value, buckets: Buckets): Value {
  const { g } = m;
  const { most } = buckets;
  const places = m.range(0, length);
  const distance = g.Sub(g.Unsqueeze(places, [0]), g.Unsqueeze(places, [1]));
  const index = g.Add(clipped(m, distance, most), g.scalar(most, 'int64'));
  const bucket = g.Gather(g.constant(int64(bucketTable(buckets), [2 * most + 1])), index, 0);
  return g.Unsqueeze(g.Transpose(g.Gather(table, bucket, 0), [2, 0, 1]), [0]);
}

function clipped({ g }: Module, x: Value, most: number): Value {
  return g.Max(g.Min(x, g.scalar(most, 'int64')), g.scalar(-most, 'int64'));
}
