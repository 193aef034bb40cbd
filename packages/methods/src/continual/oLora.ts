/** @file O-LoRA: LoRA for a sequence of tasks, with A kept orthogonal to the earlier tasks'. */

import type { Tuner } from '@onnx-lora/sdk/plugin';
import { finite, whole } from '../tuners/settings.ts';
import { loraOf } from '../tuners/lowRank/lora.ts';
import { zeros } from '../tuners/tensors.ts';

export const oLora: Tuner = {
  name: 'o-lora',
  peftType: 'O_LORA',
  paper: 'https://arxiv.org/abs/2310.14152',
  description:
    'O-LoRA: LoRA beside those of earlier tasks, which stay as they are, and orthogonal to them (see `continual`)',
  defaults: { r: 8, lora_alpha: 16, old_r: 0, lambda: 0.5, train_A: true },
  tune: (layer, settings) => {
    const { scaling, tensors } = loraOf(layer, settings);
    const old = whole(settings, 'old_r', 0);
    const before = {
      old_A: { ...zeros([old, layer.in]), role: 'frozen' },
      old_B: { ...zeros([layer.out, old]), role: 'frozen' },
    } as const;
    return {
      tensors: {
        ...tensors,
        ...(settings['train_A'] === false ? { lora_A: { ...tensors.lora_A, role: 'frozen' } } : {}),
        ...(old > 0 ? before : {}),
      },
      factors: (g, { lora_A, lora_B, old_A, old_B }) => ({
        A: old > 0 ? g.Concat([old_A!, lora_A!], 0) : lora_A!,
        B: g.Mul(old > 0 ? g.Concat([old_B!, lora_B!], 1) : lora_B!, scaling),
      }),
    };
  },
  training: (settings) => {
    if (settings['old_r'] === 0 || settings['lambda'] === 0) return {};
    return {
      // Σ |A_old·Aᵀ| over all modules, as in the authors' code.
      loss: (g, modules) => {
        const overlaps = modules.map(({ tensors: { lora_A: A, old_A } }) =>
          g.ReduceSum(g.Abs(g.MatMul(old_A!, g.Transpose(A!, [1, 0]))), [0, 1], false),
        );
        return g.Mul(overlaps.reduce((one, other) => g.Add(one, other)), finite(settings, 'lambda')); // prettier-ignore
      },
    };
  },
};
