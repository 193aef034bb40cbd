/** @file AFLoRA: two matrices, each followed by a trained vector; training freezes matrices one by one. */

import type { StepTensor, TensorSpec, Tuner } from '@onnx-lora/sdk/plugin';
import { finite, whole, wrong } from '../settings.ts';
import { filled, kaiming, zeros } from '../tensors.ts';

const matrices = ['lora_A', 'lora_B'] as const;

interface AfloraSettings {
  readonly beta1: number;
  readonly beta2: number;
  readonly tinit: number;
  readonly tfinal: number;
  readonly total_step: number | null;
}

export const aflora: Tuner = {
  name: 'aflora',
  peftType: 'AFLORA',
  paper: 'https://arxiv.org/abs/2403.13269',
  description:
    'AFLoRA: low-rank matrices, which are frozen one after the other, and a vector behind each, which are trained on',
  defaults: { r: 4, d_initial: 1, beta1: 0.85, beta2: 0.85, tinit: 0, tfinal: 0, total_step: null },
  tune: (layer, settings) => {
    const [r, first] = [whole(settings, 'r'), finite(settings, 'd_initial')];
    const shapes = { lora_A: [r, layer.in], lora_B: [layer.out, r] } as const;
    const states = (word: string, dims: (name: 'lora_A' | 'lora_B') => readonly number[]): [string, TensorSpec][] =>
      matrices.map((name) => [`${word}_${name}`, { ...zeros(dims(name)), role: 'state' }]);
    return {
      tensors: {
        lora_A: kaiming(shapes.lora_A),
        lora_B: kaiming(shapes.lora_B),
        lambda_d: filled([r], first, 0),
        lambda_b: zeros([layer.out]),
        ...Object.fromEntries([
          ...states('frozen', () => [1]),
          ...states('smoothed', (name) => shapes[name]),
          ...states('uncertainty', (name) => shapes[name]),
        ]),
      },
      factors: (g, { lora_A: A, lora_B: B, lambda_d: d, lambda_b: b }) => ({
        A: g.Mul(A!, g.Unsqueeze(d!, [1])),
        B: g.Mul(B!, g.Unsqueeze(b!, [1])),
      }),
    };
  },
  training: (given) => {
    const settings = given as unknown as AfloraSettings;
    const { tinit, tfinal, total_step: total } = settings;
    if (total === null || !(whole(given, 'total_step') > tinit + tfinal))
      throw wrong(given, 'total_step', 'the number of steps of the run, more than tinit and tfinal together');
    return {
      gradients: ({ modules }) => {
        for (const { tensors } of modules)
          for (const name of matrices) if (tensors[`frozen_${name}`]!.value[0] === 1) tensors[name]!.leave!();
      },
      after: ({ step, modules }) => {
        const all = modules.flatMap(({ tensors }) =>
          matrices.map((name) => ({
            frozen: tensors[`frozen_${name}`]!.value,
            score: scoreOf(tensors, name, settings),
          })),
        );
        // The share of frozen matrices grows as 1 − (1 − t)³, from `tinit` until `tfinal` before the end.
        const done = (step + 1 - tinit) / (total - tinit - tfinal);
        const share = done < 0 ? 0 : done < 1 ? 1 - (1 - done) ** 3 : 1;
        const left = all.filter(({ frozen }) => frozen[0] === 0).sort((one, other) => one.score - other.score);
        const count = Math.floor(share * all.length) - (all.length - left.length);
        for (const { frozen } of left.slice(0, Math.max(0, count))) frozen[0] = 1;
      },
    };
  },
};

/** Freezing score: mean product of the smoothed gradient magnitudes and their smoothed deviations. */
function scoreOf(
  tensors: Readonly<Record<string, StepTensor>>,
  name: 'lora_A' | 'lora_B',
  { beta1, beta2 }: AfloraSettings,
): number {
  const [smoothed, uncertainty] = ['smoothed', 'uncertainty'].map((word) => tensors[`${word}_${name}`]!.value);
  const isFrozen = tensors[`frozen_${name}`]!.value[0] === 1;
  let sum = 0;
  tensors[name]!.gradient?.forEach((each, i) => {
    if (isFrozen) return;
    const size = Math.abs(each);
    const mean = (smoothed![i] = beta1 * smoothed![i]! + (1 - beta1) * size);
    sum += mean * (uncertainty![i] = beta2 * uncertainty![i]! + (1 - beta2) * Math.abs(size - mean));
  });
  return sum / tensors[name]!.value.length;
}
