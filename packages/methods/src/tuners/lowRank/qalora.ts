/** @file QA-LoRA: A reads group sums of inputs, so that ΔW merges into the zero points of a quantized weight. */

import type { Tuner } from '@onnx-lora/sdk/plugin';
import { loraFactors, rankOf, variantOfLora } from './lora.ts';
import { whole, wrong } from '../settings.ts';

export const qalora: Tuner = {
  name: 'qalora',
  ...variantOfLora('use_qalora', true, { qalora_group_size: 16 }),
  paper: 'https://arxiv.org/abs/2309.14717',
  description: 'QA-LoRA: LoRA whose A reads groups of inputs as one, for weights in few bits',
  tune: (layer, settings, _, saved) => {
    const { r, scaling, dropout } = rankOf(layer, settings, saved === undefined);
    const size = whole(settings, 'qalora_group_size');
    if (layer.in % size !== 0) throw wrong(settings, 'qalora_group_size', `a divisor of the ${layer.in} inputs of "${layer.path}"`); // prettier-ignore
    const groups = layer.in / size;
    return {
      dropout,
      tensors: loraFactors(r, groups, layer.out),
      // PEFT multiplies a group's mean by the number of groups.
      factors: (g, { 'lora_A.weight': A, 'lora_B.weight': B }) => ({
        A: g.Reshape(g.Expand(g.Unsqueeze(A!, [2]), g.ints([r, groups, size])), [r, layer.in]),
        B: g.Mul(B!, (scaling * groups) / size),
      }),
    };
  },
};
