/** @file A small net of strided, padded, grouped and dilated convolutions. */

import type { Value } from '@onnx-lora/sdk/tasks';
import type { Attributes } from '@onnx-lora/sdk/plugin';
import { ModelBuilder, type SmallModel } from './modelBuilder.ts';

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
