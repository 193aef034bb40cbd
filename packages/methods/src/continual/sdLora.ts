/** @file SD-LoRA: LoRA for a sequence of tasks; earlier tasks keep their directions, with trained magnitudes. */

import type { Tuner } from '@onnx-lora/sdk/plugin';
import { loraOf } from '../tuners/lowRank/lora.ts';
import { finite, whole } from '../tuners/settings.ts';
import { filled, zeros } from '../tuners/tensors.ts';

export const sdLora: Tuner = {
  name: 'sd-lora',
  peftType: 'SD_LORA',
  paper: 'https://arxiv.org/abs/2501.13198',
  description:
    'SD-LoRA: LoRA beside those of earlier tasks, whose directions stay and whose magnitudes are trained (see `continual`)',
  defaults: { r: 8, lora_alpha: 16, old_tasks: 0, init_scale: 0.8 },
  tune: (layer, settings) => {
    const { r, scaling, tensors } = loraOf(layer, settings);
    const tasks = whole(settings, 'old_tasks', 0);
    const before = {
      // The tasks' factors, concatenated, each of norm 1.
      old_A: { ...zeros([tasks * r, layer.in]), role: 'frozen' },
      old_B: { ...zeros([layer.out, tasks * r]), role: 'frozen' },
      old_scale: zeros([tasks]),
    } as const;
    return {
      tensors: {
        ...tensors,
        scale: filled([1], finite(settings, 'init_scale')),
        ...(tasks > 0 ? before : {}),
      },
      // s·(Σ aᵢ·BᵢAᵢ / (‖Bᵢ‖·‖Aᵢ‖) + a·B·A)
      factors: (g, { lora_A, lora_B, scale, old_A, old_B, old_scale }) => {
        const own = g.Mul(lora_B!, scale!);
        if (tasks === 0) return { A: lora_A!, B: g.Mul(own, scaling) };
        const byTask = g.Mul(g.Reshape(old_B!, [layer.out, tasks, r]), g.Reshape(old_scale!, [1, tasks, 1]));
        const old = g.Reshape(byTask, [layer.out, tasks * r]);
        return { A: g.Concat([old_A!, lora_A!], 0), B: g.Mul(g.Concat([old, own], 1), scaling) };
      },
    };
  },
};
