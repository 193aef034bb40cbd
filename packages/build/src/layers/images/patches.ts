/** @file Images as sequences: patches, prepended tokens, positions. */

import { float32 } from '@onnx-lora/sdk';
import { float } from '@onnx-lora/sdk/plugin';
import type { Value } from '@onnx-lora/sdk/tasks';
import type { Module } from '../module.ts';

export interface Patches {
  readonly channels: number;
  readonly image: readonly [number, number];
  readonly patch: readonly [number, number];
  readonly hidden: number;
}

export interface Pixels {
  readonly channels: number;
  /** `[height, width]` of models with a fixed size. */
  readonly image?: readonly [number, number];
  /** Name of the batch dimension, where there are two. */
  readonly batch?: string;
}

/** The input `pixel_values`, `[batch, channels, height, width]`. */
export function pixelValues({ graph }: Module, { channels, image, batch = 'batch_size' }: Pixels): Value {
  return graph.input('pixel_values', 'float32', [batch, channels, ...(image ?? ['height', 'width'])]);
}

/** Convolution over patches: `[batch, patches, hidden]`; drops pixels beyond a multiple of the patch. */
export function patchEmbedding(
  m: Module,
  pixels: Value,
  { patch, hidden }: Pick<Patches, 'patch' | 'hidden'>,
  { bias = true, name = 'projection' }: { readonly bias?: boolean; readonly name?: string } = {},
): Value {
  return asSequence(m, m.conv(name, pixels, { out: hidden, kernel: patch, strides: patch, bias }));
}

/** `[batch, channels, height, width]` → `[batch, height · width, channels]`. */
export function asSequence({ g }: Module, x: Value): Value {
  const channels = Number(x.shape![1]);
  return g.Transpose(g.Reshape(x, [0, channels, -1]), [0, 2, 1]);
}

/** Prepends learned tokens and adds learned positions: `[batch, tokens, hidden]`. */
export function withFirstTokens(m: Module, patches: Value, tokens: readonly string[]): Value {
  const all = withTokens(m, patches, tokens);
  const [, length, hidden] = all.shape as [unknown, number, number];
  return m.g.Add(all, m.parameter('position_embeddings', [1, length, hidden]));
}

/**
 * Resamples learned positions `[height · width, hidden]` by cubic convolution (Keys 1981): `[1, height · width,
 * hidden]`.
 * @param from height and width of the table's grid
 * @param to target height and width, int64 `[2]`
 */
export function resampled({ g }: Module, table: Value, [height, width]: readonly [number, number], to: Value): Value {
  const hidden = Number(table.shape!.at(-1));
  const grid = g.Transpose(g.Reshape(table, [1, height, width, hidden]), [0, 3, 1, 2]);
  const attributes = { mode: 'cubic', cubic_coeff_a: float(-0.75), coordinate_transformation_mode: 'half_pixel' };
  const sizes = g.Concat([g.ints([1, hidden]), to], 0);
  const wide = g.emit('Resize', [grid, undefined, undefined, sizes], attributes);
  return g.Transpose(g.Reshape(wide, [1, hidden, -1]), [0, 2, 1]);
}

/** The same as in Pillow: antialiased, with a flatter kernel. */
export function resampledSmooth(m: Module, table: Value, [height, width]: readonly [number, number], to: Value): Value {
  const { g } = m;
  const hidden = Number(table.shape!.at(-1));
  const [rows, columns] = [height, width].map((size, i) => smoothing(m, size, g.Slice(to, [i], [i + 1], [0]))) as [Value, Value]; // prettier-ignore
  const grid = g.Transpose(g.Reshape(table, [height, width, hidden]), [2, 0, 1]);
  const wide = g.MatMul(g.MatMul(rows, grid), g.Transpose(columns, [1, 0]));
  return g.Transpose(g.Reshape(wide, [1, hidden, -1]), [0, 2, 1]);
}

/** Resampling matrix `[to, from]`. */
function smoothing(m: Module, from: number, to: Value): Value {
  const { g } = m;
  const scale = g.Div(g.scalar(from), m.floats(to));
  const centres = g.Mul(g.Unsqueeze(g.Add(m.floats(m.range(0, to)), 0.5), [1]), scale);
  const places = g.constant(
    float32(
      Float32Array.from({ length: from }, (_, i) => i + 0.5),
      [1, from],
    ),
  );
  const x = g.Abs(g.Div(g.Sub(places, centres), g.Max(scale, 1)));
  const near = g.Add(g.Mul(g.Mul(g.Sub(g.Mul(x, 1.5), 2.5), x), x), 1);
  const far = g.Add(g.Mul(g.Sub(g.Mul(g.Add(g.Mul(x, -0.5), 2.5), x), 4), x), 2);
  const weights = g.Where(g.Less(x, 1), near, g.Where(g.Less(x, 2), far, 0));
  return g.Div(weights, g.ReduceSum(weights, [1], true));
}

/** Prepends learned tokens `[1, n, hidden]`, and appends some. */
export function withTokens(
  m: Module,
  x: Value,
  first: readonly (string | Value)[],
  last: readonly Value[] = [],
): Value {
  const { g } = m;
  const hidden = Number(x.shape!.at(-1));
  const batch = m.sizeOf(x, 0);
  const repeated = (token: string | Value): Value => {
    const value = typeof token === 'string' ? m.parameter(token, [1, 1, hidden]) : token;
    return g.Expand(value, g.Concat([batch, g.ints([Number(value.shape![1]), hidden])], 0));
  };
  return g.Concat([...first.map(repeated), x, ...last.map(repeated)], 1);
}
