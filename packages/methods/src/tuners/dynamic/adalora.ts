/** @file AdaLoRA: a low-rank ΔW in SVD form; training prunes singular values. */

import {
  type StepTensor,
  type TrainingStep,
  type TensorSpec,
  type Tuner,
  type TunerSettings,
} from '@onnx-lora/sdk/plugin';
import { fromIdentity } from '../fragments.ts';
import { filled, normal, zeros } from '../tensors.ts';

const factors = ['lora_A', 'lora_E', 'lora_B'] as const;

interface Schedule {
  readonly init_r: number;
  readonly target_r: number;
  readonly tinit: number;
  readonly tfinal: number;
  readonly deltaT: number;
  readonly total_step: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly orth_reg_weight: number;
}

export const adalora: Tuner = {
  name: 'adalora',
  peftType: 'ADALORA',
  paper: 'https://arxiv.org/abs/2303.10512',
  description: 'AdaLoRA: low-rank changes whose ranks go where they matter most',
  defaults: {
    init_r: 12,
    target_r: 8,
    lora_alpha: 8,
    tinit: 0,
    tfinal: 0,
    deltaT: 1,
    beta1: 0.85,
    beta2: 0.85,
    orth_reg_weight: 0.5,
    total_step: null,
    rank_pattern: null,
  },
  tune: (layer, settings) => {
    const { init_r: begun, lora_alpha: alpha, rank_pattern: pattern } = settings as { init_r: number; lora_alpha: number; rank_pattern: Record<string, boolean[]> | null }; // prettier-ignore
    // PEFT's file of a trained adapter keeps the remaining directions; `rank_pattern` says which.
    const r = pattern?.[`${layer.path}.lora_E`]?.filter(Boolean).length ?? begun;
    const scaling = (alpha > 0 ? alpha : begun) / (begun + 1e-5);
    const shapes = { lora_A: [r, layer.in], lora_E: [r, 1], lora_B: [layer.out, r] } as const;
    const state = (name: keyof typeof shapes): TensorSpec => ({ ...zeros(shapes[name]), role: 'state' });
    return {
      tensors: {
        lora_A: normal(shapes.lora_A, 0.02),
        lora_E: zeros(shapes.lora_E),
        lora_B: normal(shapes.lora_B, 0.02),
        kept: { ...filled(shapes.lora_E, 1), role: 'state' },
        ...Object.fromEntries(factors.map((name) => [`importance_${name}`, state(name)])),
        ...Object.fromEntries(factors.map((name) => [`uncertainty_${name}`, state(name)])),
      },
      factors: (g, { lora_A: A, lora_E: E, lora_B: B }) => ({ A: g.Mul(A!, E!), B: g.Mul(B!, scaling) }),
    };
  },
  training: (settings) => ({
    loss: (g, modules) => {
      const far = modules.flatMap(({ tensors: { lora_A: A, lora_B: B } }) => [
        fromIdentity(g, g.MatMul(A!, g.Transpose(A!, [1, 0]))),
        fromIdentity(g, g.MatMul(g.Transpose(B!, [1, 0]), B!)),
      ]);
      const sum = far.reduce((one, other) => g.Add(one, other));
      return g.Mul(sum, (settings as unknown as Schedule).orth_reg_weight / far.length);
    },
    after: (step) => allocate(step, settings),
  }),
};

function allocate({ step, modules }: TrainingStep, settings: TunerSettings): void {
  const { init_r: r, target_r, tinit, tfinal, deltaT, total_step, beta1, beta2 } = settings as unknown as Schedule;
  const last = total_step - tfinal;
  if (step < last) {
    for (const { tensors } of modules)
      for (const name of factors) {
        const { value, gradient } = tensors[name]!;
        const importance = tensors[`importance_${name}`]!.value;
        const uncertainty = tensors[`uncertainty_${name}`]!.value;
        for (let i = 0; i < value.length; i++) {
          const now = Math.abs(value[i]! * gradient![i]!);
          importance[i] = beta1 * importance[i]! + (1 - beta1) * now;
          uncertainty[i] = beta2 * uncertainty[i]! + (1 - beta2) * Math.abs(now - importance[i]!);
        }
      }
  }
  const share = 1 - (step - tinit) / (last - tinit);
  const [all, few] = [r * modules.length, target_r * modules.length];
  const budget = step > last ? few : Math.trunc((all - few) * share ** 3 + few);
  if (step > tinit && step <= last && (step === last || step % deltaT === 0)) {
    const scores = modules.map(({ tensors }) => scoresOf(tensors, r));
    const threshold = scores.flat().sort((a, b) => a - b)[all - budget - 1] ?? -Infinity;
    modules.forEach(({ tensors }, i) => tensors['kept']!.value.set(scores[i]!.map((each) => Number(each > threshold))));
    for (const { tensors } of modules) mask(tensors);
  }
  if (step > last) for (const { tensors } of modules) mask(tensors);
}

function mask({ lora_E: E, kept }: Readonly<Record<string, StepTensor>>): void {
  for (let i = 0; i < E!.value.length; i++) if (kept!.value[i] === 0) E!.value[i] = 0;
}

/** Importance per direction: its singular value's score plus the mean scores of its two vectors. */
function scoresOf(tensors: Readonly<Record<string, StepTensor>>, r: number): number[] {
  const score = (name: string, i: number): number =>
    tensors[`importance_${name}`]!.value[i]! * tensors[`uncertainty_${name}`]!.value[i]!;
  const mean = (name: string, count: number, at: (i: number) => number): number => {
    let sum = 0;
    for (let i = 0; i < count; i++) sum += score(name, at(i));
    return sum / count;
  };
  const width = tensors['lora_A']!.dims[1]!;
  const height = tensors['lora_B']!.dims[0]!;
  return Array.from(
    { length: r },
    (_, k) =>
      score('lora_E', k) + mean('lora_A', width, (i) => k * width + i) + mean('lora_B', height, (i) => i * r + k),
  );
}
