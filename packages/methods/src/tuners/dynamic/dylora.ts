/** @file DyLoRA: each step trains the first directions alone, so that an adapter can be truncated to any rank. */

import { Adapter, OnnxLoraError } from '@onnx-lora/sdk';
import { type StepTensor, TorchRandom, type Tuner } from '@onnx-lora/sdk/plugin';
import { finite, whole, wrong } from '../settings.ts';
import { kaiming, zeros } from '../tensors.ts';

interface DyloraSettings {
  readonly r: number;
  readonly lora_alpha: number;
  readonly rank: number | null;
  readonly frozen: boolean;
  readonly seed: number;
}

export const dylora: Tuner = {
  name: 'dylora',
  peftType: 'DYLORA',
  paper: 'https://arxiv.org/abs/2210.07558',
  description:
    'DyLoRA: LoRA that trains a random number of leading directions per step, and can be cut to any rank afterwards',
  // `rank`: directions used outside of training; all by default. `frozen`: a step trains only the last of its
  // directions.
  defaults: { r: 8, lora_alpha: 16, rank: null, frozen: false, seed: 0 },
  tune: (layer, settings) => {
    const [r, alpha] = [whole(settings, 'r'), finite(settings, 'lora_alpha')];
    const { rank } = settings as unknown as DyloraSettings;
    if (rank !== null && whole(settings, 'rank') > r) throw wrong(settings, 'rank', `at most r, which is ${r}`);
    const shown = truncation(r, rank ?? r, alpha);
    return {
      tensors: {
        lora_A: kaiming([r, layer.in]),
        lora_B: zeros([layer.out, r]),
        truncation: { ...zeros([1, r]), role: 'state', init: () => shown.slice() },
      },
      factors: (g, { lora_A: A, lora_B: B, truncation: scale }) => ({ A: A!, B: g.Mul(B!, scale!) }),
    };
  },
  training: (settings) => {
    const { r, lora_alpha: alpha, frozen, seed } = settings as unknown as DyloraSettings;
    return {
      ...(frozen && {
        gradients: ({ modules }) => {
          for (const { tensors } of modules) leaveLast(tensors);
        },
      }),
      // The next rank depends on the step's number alone; the first step uses the rank outside of training.
      after: ({ step, modules }) => {
        const [unit] = new TorchRandom(seed + step + 1).uniform(1, 0, 1);
        const next = truncation(r, 1 + Math.floor(unit! * r), alpha);
        for (const { tensors } of modules) tensors['truncation']!.value.set(next);
      },
    };
  },
};

/** Truncates a DyLoRA adapter to a rank; the file keeps all directions. @throws OnnxLoraError `INPUT_INVALID` */
export function dyloraAtRank({ config, tensors, baseDigest, notes }: Adapter, rank: number): Adapter {
  if (config.peftType === dylora.peftType)
    return new Adapter({ ...config, extra: { ...config.extra, rank } }, tensors, baseDigest, notes);
  throw new OnnxLoraError('INPUT_INVALID', `Only adapters of DyLoRA can be cut to a rank, and this one is ${config.peftType}. Train one with the tuner dylora.`); // prettier-ignore
}

function truncation(r: number, rank: number, alpha: number): Float32Array {
  return new Float32Array(r).map((_, i) => (i < rank ? alpha / rank : 0));
}

function leaveLast({ lora_A: A, lora_B: B, truncation: scale }: Readonly<Record<string, StepTensor>>): void {
  const [r, width] = A!.dims as [number, number];
  const last = scale!.value.reduce((count, each) => count + Number(each !== 0), 0) - 1;
  A!.gradient?.forEach((_, i, all) => {
    if (Math.floor(i / width) !== last) all[i] = 0;
  });
  B!.gradient?.forEach((_, i, all) => {
    if (i % r !== last) all[i] = 0;
  });
}
