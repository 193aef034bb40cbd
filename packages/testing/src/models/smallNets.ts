/** @file Small nets of linear layers, and of strided, padded, grouped and dilated convolutions. */

import type { Value } from '@onnx-lora/sdk/tasks';
import type { Attributes } from '@onnx-lora/sdk/plugin';
import { ModelBuilder, type SmallModel } from './modelBuilder.ts';

/** Sizes of a {@link linearNet}. */
export interface LinearNetSizes {
  /** Input features; 8 by default. */
  readonly inputs?: number;
  /** Features between layers; 6 by default. */
  readonly hidden?: number;
  /** Hidden layers; 2 by default. */
  readonly layers?: number;
  /** Output features; 3 by default. */
  readonly outputs?: number;
  /** Seed of the weights; 1 by default. */
  readonly seed?: number;
}

/** `x` `[batch, inputs]` → `logits` `[batch, outputs]`: layers `encoder.0`, `encoder.1` … with tanh, then `head`. */
export function linearNet({
  inputs = 8,
  hidden = 6,
  layers = 2,
  outputs = 3,
  seed = 1,
}: LinearNetSizes = {}): SmallModel {
  const builder = new ModelBuilder({ seed });
  const { g } = builder;
  const linear = (x: Value, name: string, width: number, out: number): Value => {
    const range = 2 / Math.sqrt(width);
    const weight = builder.weight(`${name}.weight`, [out, width], range);
    return g.Gemm(x, weight, builder.weight(`${name}.bias`, [out], range), { transB: true });
  };
  const x: Value = { name: 'x', type: 'float32', shape: ['batch', inputs] };
  let value = x;
  for (let i = 0; i < layers; i++) value = g.Tanh(linear(value, `encoder.${i}`, i === 0 ? inputs : hidden, hidden));
  const logits = linear(value, 'head', layers === 0 ? inputs : hidden, outputs);
  builder.name('/head/Gemm', 'logits');
  return builder.model([x], [{ ...logits, name: 'logits' }]);
}

/** `x` `[batch, 4, 7, 7]` → `[batch, 3]`: `stem` (strided), `grouped`, `wide` (1D, dilated, no bias), mean, `head`. */
export function convNet({ seed = 1 }: { readonly seed?: number } = {}): SmallModel {
  const builder = new ModelBuilder({ seed });
  const { g } = builder;
  const x: Value = { name: 'x', type: 'float32', shape: ['batch', 4, 7, 7] };
  const conv = (input: Value, name: string, shape: readonly number[], attributes: Attributes): Value => {
    const bias = name === 'wide' ? [] : [builder.weight(`${name}.bias`, [shape[0]!])];
    return g.emit('Conv', [input, builder.weight(`${name}.weight`, shape), ...bias], attributes);
  };
  const stem = g.Relu(conv(x, 'stem', [8, 4, 3, 3], { strides: [2, 2], pads: [1, 1, 1, 1] }));
  const grouped = g.Relu(conv(stem, 'grouped', [8, 4, 3, 3], { group: 2, pads: [1, 1, 1, 1] }));
  const wide = conv(g.Reshape(grouped, [-1, 8, 16]), 'wide', [6, 8, 3], { dilations: [2], pads: [1, 2] });
  const mean = g.Squeeze(g.emit('GlobalAveragePool', [wide]), [2]);
  const logits = g.Gemm(mean, builder.weight('head.weight', [3, 6]), builder.weight('head.bias', [3]), {
    transB: true,
  });
  return builder.model([x], [{ ...logits, shape: ['batch', 3] }]);
}
