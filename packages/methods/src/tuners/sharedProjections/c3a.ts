/** @file C3A: ΔW of circulant blocks, one vector each. */

import type { TensorSpec, Tuner } from '@onnx-lora/sdk/plugin';
import { peftLayers, requireOnly, wholeOf, wrong } from '../settings.ts';
import { normal, uniform, zeros } from '../tensors.ts';

export const c3a: Tuner = {
  name: 'c3a',
  peftType: 'C3A',
  paper: 'https://arxiv.org/abs/2407.19342',
  description: 'C3A: a high-rank change of circulant blocks: each block is one vector, shifted from row to row',
  defaults: { block_size: 256, block_size_pattern: {}, init_weights: 'xavier_uniform', bias: 'none', ...peftLayers },
  tune: (layer, settings) => {
    requireOnly(settings, { bias: 'none' });
    const { in: inputs, out, path } = layer;
    const b = wholeOf(layer, settings, 'block_size', 'block_size_pattern');
    if (inputs % b !== 0 || out % b !== 0) throw wrong(settings, 'block_size', `a divisor of the ${inputs} inputs and ${out} outputs of "${path}"`); // prettier-ignore
    const dims = [out / b, inputs / b, b];
    const xavier = (): TensorSpec => uniform(dims, Math.sqrt(6 / (inputs + out)));
    const begun: Readonly<Record<string, () => TensorSpec>> = {
      xavier_uniform: xavier,
      false: xavier,
      gaussian: () => normal(dims, 1),
      kaiming_uniform: () => uniform(dims, 1 / Math.sqrt(inputs)),
      true: () => zeros(dims),
    };
    const kernel = begun[String(settings['init_weights'])];
    if (!kernel) throw wrong(settings, 'init_weights', `one of ${Object.keys(begun).join(', ')}`);
    return {
      tensors: { c3a_kernel: kernel() },
      linearIn: ['c3a_kernel'],
      // Block entry (k, j) is w[(j − k) mod b]. The vector repeated and cut into rows of 2·b − 1 numbers is one place
      // further to the right in each row.
      delta: (g, { c3a_kernel: w }) => {
        const again = g.Expand(g.Unsqueeze(w!, [2]), [out / b, inputs / b, 2 * b - 1, b]);
        const turned = g.Slice(g.Reshape(again, [out / b, inputs / b, b, 2 * b - 1]), [0], [b], [3]);
        return g.Div(g.Reshape(g.Transpose(turned, [0, 2, 1, 3]), [out, inputs]), inputs);
      },
    };
  },
};
