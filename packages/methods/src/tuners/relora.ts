/**
 * @file ReLoRA: LoRA that is taken into the base again and again, so that the change may have any rank.
 *
 * What has been taken in stands as factors beside the base, not in its weights. Another way is to write new weights: then the
 * graph must be built anew, checkpoints hold the whole base, and the result is a model. Or ΔW as one matrix of each layer: that is
 * as large as the layer, and so is the adapter. Factors grow by the rank with each restart; they are exact, make an adapter of
 * the base that everybody has, and are plain LoRA of a higher rank.
 */

import { type StepTensor, TorchRandom, type Tuner } from '@onnx-lora/sdk/plugin';
import { finite, whole, wrong } from './settings.ts';
import { kaiming, zeros } from './tensors.ts';

interface ReloraSettings {
  readonly r: number;
  readonly restart_every: number;
  readonly restarts: number;
  readonly prune_ratio: number;
  readonly seed: number;
}

export const relora: Tuner = {
  name: 'relora',
  peftType: 'RELORA',
  paper: 'https://arxiv.org/abs/2307.05695',
  description: 'ReLoRA: LoRA that is added to what is fixed every so many steps, and begins anew',
  // `prune_ratio`: the share of the optimizer's moments that a restart sets to zero, the smallest first; 1 is COLA.
  defaults: { r: 8, lora_alpha: 16, restart_every: 500, restarts: 3, prune_ratio: 0.9, seed: 0 },
  tune: (layer, settings) => {
    const [r, restarts] = [whole(settings, 'r'), whole(settings, 'restarts')];
    whole(settings, 'restart_every');
    const ratio = finite(settings, 'prune_ratio');
    if (ratio < 0 || ratio > 1) throw wrong(settings, 'prune_ratio', 'from 0 to 1');
    const scaling = finite(settings, 'lora_alpha') / r;
    return {
      tensors: {
        lora_A: kaiming([r, layer.in]),
        lora_B: zeros([layer.out, r]),
        merged_A: { ...zeros([restarts * r, layer.in]), role: 'state', saved: true },
        merged_B: { ...zeros([layer.out, restarts * r]), role: 'state', saved: true },
      },
      factors: (g, { lora_A: A, lora_B: B, merged_A, merged_B }) => ({
        A: g.Concat([A!, merged_A!], 0),
        B: g.Mul(g.Concat([B!, merged_B!], 1), scaling),
      }),
    };
  },
  training: (settings) => {
    const { r, restart_every: every, restarts, prune_ratio: ratio, seed } = settings as unknown as ReloraSettings;
    return {
      after: ({ step, modules }) => {
        const restart = (step + 1) / every;
        if (!Number.isInteger(restart) || restart > restarts) return;
        for (const { layer, tensors } of modules) {
          keep(tensors, (restart - 1) * r);
          const bound = layer.in ** -0.5;
          const random = new TorchRandom((hashOf(layer.path) + seed + restart) >>> 0);
          tensors['lora_A']!.value.set(random.uniform(r * layer.in, -bound, bound));
          tensors['lora_B']!.value.fill(0);
          for (const name of ['lora_A', 'lora_B']) pruneSmallest(tensors[name]!.moments!(), ratio);
        }
      },
    };
  },
};

/** Adds the factors to what is fixed, from this direction on. */
function keep(
  { lora_A: A, lora_B: B, merged_A: allA, merged_B: allB }: Readonly<Record<string, StepTensor>>,
  from: number,
): void {
  const [r, width] = A!.dims as [number, number];
  allA!.value.set(A!.value, from * width);
  const all = allB!.dims[1]!;
  B!.value.forEach((value, i) => {
    allB!.value[Math.floor(i / r) * all + from + (i % r)] = value;
  });
}

/**
 * Sets the moments of a number to zero where one of them is not above the quantile of its magnitudes, as torch.quantile has it
 * between two numbers. The authors' code prunes each by itself: what is left of the first without the second then moves by
 * 1/eps, as the gradient of A is zero where B is.
 */
function pruneSmallest(moments: readonly Float32Array[], ratio: number): void {
  const thresholds = moments.map((moment) => {
    const sorted = moment.map(Math.abs).sort();
    const place = ratio * (sorted.length - 1);
    const [low, high] = [sorted[Math.floor(place)]!, sorted[Math.ceil(place)]!];
    return Math.fround(low + (place % 1) * (high - low));
  });
  const size = moments[0]?.length ?? 0;
  for (let i = 0; i < size; i++) {
    const isKept = moments.every((moment, k) => Math.abs(moment[i]!) > thresholds[k]!);
    if (!isKept) for (const moment of moments) moment[i] = 0;
  }
}

/** FNV-1a of a path: another number for each layer, whatever the others are. */
function hashOf(path: string): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(path)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}
