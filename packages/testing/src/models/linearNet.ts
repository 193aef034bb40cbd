/** @file A chain of linear layers. */

import type { Value } from '@onnx-lora/sdk/tasks';
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
