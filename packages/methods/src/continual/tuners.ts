/** @file Tuners of `continual`: O-LoRA, SD-LoRA, and EWC on LoRA. */

import type { TensorSpec, Tuner } from '@onnx-lora/sdk/plugin';
import { loraOf } from '../tuners/lowRank/lora.ts';
import { finite, whole } from '../tuners/settings.ts';
import { filled, zeros } from '../tuners/tensors.ts';

/** O-LoRA: A stays orthogonal to the earlier tasks'. */
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

/** SD-LoRA: earlier tasks keep their directions, with trained magnitudes. */
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

const factors = ['lora_A', 'lora_B'] as const;

/** EWC: holds weights near their values after earlier tasks, by their Fisher information. */
export const ewc: Tuner = {
  name: 'ewc',
  peftType: 'EWC_LORA',
  paper: 'https://arxiv.org/abs/1612.00796',
  description: 'EWC: LoRA that holds what mattered for earlier tasks near its values (see `continual`)',
  defaults: { r: 8, lora_alpha: 16, lambda: 1000 },
  tune: (layer, settings) => {
    const lora = loraOf(layer, settings);
    const { lora_A: A, lora_B: B } = lora.tensors;
    const frozen = ({ dims }: TensorSpec): TensorSpec => ({ ...zeros(dims), role: 'frozen' });
    // Sums over the current task's steps; saved for the next task.
    const counted = ({ dims }: TensorSpec): TensorSpec => ({ ...zeros(dims), role: 'state', saved: true });
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
