/** @file BEFT: trains an addend of a layer's bias. */

import type { Tuner } from '@onnx-lora/sdk/plugin';
import { normal, zeros } from '../tensors.ts';

export const beft: Tuner = {
  name: 'beft',
  peftType: 'BEFT',
  paper: 'https://arxiv.org/abs/2509.15974',
  description: 'BEFT: trains what is added to the bias of a layer',
  defaults: { init_weights: true },
  tune: ({ out, bias }, { init_weights: isIdle }) => ({
    linearIn: ['beft_bias'],
    tensors: { beft_bias: isIdle === true ? zeros([1, out]) : normal([1, out], 1) },
    apply: (g, { x, forward }, { beft_bias: own }) => g.Add(forward(x), g.Reshape(own!, [out])),
    // Without a bias it cannot be merged.
    ...(bias && {
      weight: (g, weight) => g.Identity(weight),
      bias: (g, before, { beft_bias: own }) => g.Add(before, g.Reshape(own!, [out])),
      unmerged: {
        weight: (g, weight) => g.Identity(weight),
        bias: (g, merged, { beft_bias: own }) => g.Sub(merged, g.Reshape(own!, [out])),
      },
    }),
  }),
};
