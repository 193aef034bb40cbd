/** @file Arrow: routes each token to the LoRAs whose main direction it lies in; nothing is trained. */

import type { Tuner } from '@onnx-lora/sdk/plugin';
import { expertTensors, mixed, topGates } from './experts.ts';
import { finite, whole } from '../tuners/settings.ts';
import { zeros } from '../tuners/tensors.ts';

export const arrow: Tuner = {
  name: 'arrow',
  peftType: 'ARROW',
  paper: 'https://arxiv.org/abs/2405.11157',
  description: 'Arrow: nothing; each token goes to the LoRAs in whose main direction it lies (made by `mixtureOf`)',
  defaults: { experts: [], r: 8, top_k: 3, router_temperature: 1 },
  tune: (layer, settings) => {
    const sizes = { experts: Math.max(1, (settings['experts'] as string[]).length), r: whole(settings, 'r') };
    const k = whole(settings, 'top_k');
    const { A, B } = expertTensors(sizes, layer);
    return {
      tensors: {
        arrow_A: { ...A, role: 'frozen' },
        arrow_B: { ...B, role: 'frozen' },
        arrow_prototypes: { ...zeros([sizes.experts, layer.in]), role: 'frozen' },
      },
      apply: (g, { x, forward }, { arrow_A, arrow_B, arrow_prototypes }) => {
        const scores = g.Abs(g.MatMul(x, g.Transpose(arrow_prototypes!, [1, 0])));
        const gates = topGates(g, g.Div(scores, finite(settings, 'router_temperature')), k, sizes.experts);
        return g.Add(forward(x), mixed(g, x, { A: arrow_A!, B: arrow_B! }, gates, sizes));
      },
    };
  },
};
