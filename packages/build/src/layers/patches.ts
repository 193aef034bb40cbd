/** @file Images as sequences: patches, the tokens before them, their positions. */

import type { Value } from '@onnx-lora/sdk/tasks';
import type { Module } from './module.ts';

/** How an image is cut. */
export interface Patches {
  readonly channels: number;
  /** `[height, width]`. */
  readonly image: readonly [number, number];
  /** `[height, width]`. */
  readonly patch: readonly [number, number];
  readonly hidden: number;
}

/** The input `pixel_values`, `[batch, channels, height, width]`. */
export function pixelValues(m: Module, { channels, image }: Pick<Patches, 'channels' | 'image'>): Value {
  return m.graph.input('pixel_values', 'float32', ['batch_size', channels, ...image]);
}

/** A convolution over patches: `[batch, patches, hidden]`. Pixels beyond a multiple of a patch are dropped. */
export function patchEmbedding(m: Module, pixels: Value, { patch, hidden }: Patches, bias = true): Value {
  return asSequence(m, m.conv('projection', pixels, { out: hidden, kernel: patch, strides: patch, bias }));
}

/** `[batch, channels, height, width]` → `[batch, height · width, channels]`. */
export function asSequence({ g }: Module, x: Value): Value {
  const channels = Number(x.shape![1]);
  return g.Transpose(g.Reshape(x, [0, channels, -1]), [0, 2, 1]);
}

/** Learned tokens before the patches, and learned positions added to all: `[batch, tokens, hidden]`. */
export function withFirstTokens(m: Module, patches: Value, tokens: readonly string[]): Value {
  const all = withTokens(m, patches, tokens);
  const [, length, hidden] = all.shape as [unknown, number, number];
  return m.g.Add(all, m.parameter('position_embeddings', [1, length, hidden]));
}

/** Learned tokens `[1, n, hidden]` before each sequence of a batch. */
export function withTokens(m: Module, x: Value, tokens: readonly (string | Value)[]): Value {
  const { g } = m;
  const hidden = Number(x.shape!.at(-1));
  const batch = m.sizeOf(x, 0);
  const first = tokens.map((token) => {
    const value = typeof token === 'string' ? m.parameter(token, [1, 1, hidden]) : token;
    return g.Expand(value, g.Concat([batch, g.ints([Number(value.shape![1]), hidden])], 0));
  });
  return g.Concat([...first, x], 1);
}
