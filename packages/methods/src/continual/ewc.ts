/** @file EWC on LoRA: holds weights near their values after earlier tasks, by their Fisher information. */

import type { TunedTensor, Tuner } from '@onnx-lora/sdk/plugin';
import { finite } from '../tuners/settings.ts';
import { loraOf } from '../tuners/lowRank/lora.ts';
import { zeros } from '../tuners/tensors.ts';

const factors = ['lora_A', 'lora_B'] as const;

export const ewc: Tuner = {
  name: 'ewc',
  peftType: 'EWC_LORA',
  paper: 'https://arxiv.org/abs/1612.00796',
  description: 'EWC: LoRA that holds what mattered for earlier tasks near its values (see `continual`)',
  defaults: { r: 8, lora_alpha: 16, lambda: 1000 },
  tune: (layer, settings) => {
    const lora = loraOf(layer, settings);
    const { lora_A: A, lora_B: B } = lora.tensors;
    const frozen = ({ dims }: TunedTensor): TunedTensor => ({ ...zeros(dims), role: 'frozen' });
    // Sums over the current task's steps; saved for the next task.
    const counted = ({ dims }: TunedTensor): TunedTensor => ({ ...zeros(dims), role: 'state', saved: true });
    return {
      ...lora,
      tensors: {
        ...lora.tensors,
        anchor_lora_A: frozen(A),
        anchor_lora_B: frozen(B),
        fisher_lora_A: frozen(A),
        fisher_lora_B: frozen(B),
        squares_lora_A: counted(A),
        squares_lora_B: counted(B),
        steps: counted(zeros([1])),
      },
    };
  },
  training: (settings) => ({
    // Gradient of λ/2 · Σ F·(θ − θ*)²; F sums the earlier tasks' mean squared gradients.
    gradients: ({ modules }) => {
      const lambda = finite(settings, 'lambda');
      for (const { tensors } of modules) {
        tensors['steps']!.value[0]! += 1;
        for (const name of factors) {
          const { value, gradient } = tensors[name]!;
          const [anchor, fisher, squares] = ['anchor', 'fisher', 'squares'].map((word) => tensors[`${word}_${name}`]!.value) as [Float32Array, Float32Array, Float32Array]; // prettier-ignore
          for (let i = 0; i < value.length; i++) {
            squares[i]! += gradient![i]! ** 2;
            gradient![i]! += lambda * fisher[i]! * (value[i]! - anchor[i]!);
          }
        }
      }
    },
  }),
};
