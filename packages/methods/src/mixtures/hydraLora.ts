/** @file HydraLoRA: one A per layer and several B, weighted by a router. */

import type { Tuner } from '@onnx-lora/sdk/plugin';
import { expertTensors, mixed } from './experts.ts';
import { finite, whole } from '../tuners/settings.ts';
import { normal } from '../tuners/tensors.ts';

export const hydraLora: Tuner = {
  name: 'hydralora',
  peftType: 'HYDRALORA',
  paper: 'https://arxiv.org/abs/2404.19245',
  description: 'HydraLoRA: one A and several B for each layer, and a router that weighs the B of each token',
  defaults: { experts: 3, r: 8, lora_alpha: 16, router_init: 0.02 },
  tune: (layer, settings) => {
    const sizes = { experts: whole(settings, 'experts'), r: whole(settings, 'r') };
    const { A } = expertTensors({ ...sizes, experts: 1 }, layer);
    return {
      tensors: {
        hydra_A: A,
        hydra_B: expertTensors(sizes, layer).B,
        hydra_router: normal([sizes.experts, layer.in], finite(settings, 'router_init')),
      },
      apply: (g, { x, forward }, { hydra_A, hydra_B, hydra_router }) => {
        const gates = g.Softmax(g.MatMul(x, g.Transpose(hydra_router!, [1, 0])), -1);
        const shared = g.Expand(hydra_A!, [sizes.experts, sizes.r, layer.in]);
        const change = mixed(g, x, { A: shared, B: hydra_B! }, gates, sizes);
        return g.Add(forward(x), g.Mul(change, finite(settings, 'lora_alpha') / sizes.r));
      },
    };
  },
};
