/** @file QA-LoRA: A reads group sums of inputs, so that ΔW merges into the zero points of a quantized weight. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { Tuner } from '@onnx-lora/sdk/plugin';
import { loraFactors, rankOf, variantOfLora } from './lora.ts';

export const qalora: Tuner = {
  name: 'qalora',
  ...variantOfLora('use_qalora', true, { qalora_group_size: 16 }),
  paper: 'https://arxiv.org/abs/2309.14717',
  description: 'QA-LoRA: LoRA whose A reads groups of inputs as one, for weights in few bits',
  tune: (layer, settings, _, saved) => {
    const { r, scaling, dropout } = rankOf(layer, settings, saved === undefined);
    const size = settings['qalora_group_size'] as number;
    if (!(Number.isInteger(size) && size > 0 && layer.in % size === 0)) {
      throw new OnnxLoraError(
        'CONFIG_INVALID',
        `qalora_group_size must divide the ${layer.in} inputs of "${layer.path}", and is ${size}. Choose another one.`,
      );
    }
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
