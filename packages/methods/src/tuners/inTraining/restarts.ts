/**
 * @file LoRA that is taken into the base again and again, so that the change may have any rank: what ReLoRA, COLA and
 * PeriodicLoRA have in common.
 *
 * What has been taken in stands as factors beside the base, not in its weights. Another way is to write new weights: then the
 * graph must be built anew, checkpoints hold the whole base, and the result is a model. Or ΔW as one matrix of each layer: that is
 * as large as the layer, and so is the adapter. Factors grow by the rank with each restart; they are exact, make an adapter of
 * the base that everybody has, and are plain LoRA of a higher rank.
 */

import { type StepTensor, TorchRandom, type Tuner, type TunerSettings } from '@onnx-lora/sdk/plugin';
import { loraOf } from '../lowRank/lora.ts';
import { whole } from '../settings.ts';
import { zeros } from '../tensors.ts';

/** Settings of them all: after how many steps the change is taken in, and how often. */
export const restartDefaults = { r: 8, lora_alpha: 16, restart_every: 500, restarts: 3, seed: 0 };

/** A and B of LoRA, and those that have been taken in. */
export const tuneRestarted: Tuner['tune'] = (layer, settings) => {
  const { r, scaling, tensors } = loraOf(layer, settings);
  const restarts = whole(settings, 'restarts');
  whole(settings, 'restart_every');
  return {
    tensors: {
      ...tensors,
      merged_A: { ...zeros([restarts * r, layer.in]), role: 'state', saved: true },
      merged_B: { ...zeros([layer.out, restarts * r]), role: 'state', saved: true },
    },
    factors: (g, { lora_A: A, lora_B: B, merged_A, merged_B }) => ({
      A: g.Concat([A!, merged_A!], 0),
      B: g.Mul(g.Concat([B!, merged_B!], 1), scaling),
    }),
  };
};

/** A layer's factors at a restart. */
interface Restarted {
  readonly A: StepTensor;
  readonly B: StepTensor;
  /** Draws A as it was first drawn, by other numbers, and makes B zero. */
  readonly begin: () => void;
}

/**
 * Takes the change in after every so many steps.
 *
 * @param share how much of the change is taken in
 * @param then what becomes of the factors that are trained, and of what the optimizer remembers of them
 */
export function restarting(
  settings: TunerSettings,
  share: number,
  then: (restarted: Restarted) => void,
): ReturnType<NonNullable<Tuner['training']>> {
  const { r, restart_every: every, restarts, seed } = settings as unknown as typeof restartDefaults;
  return {
    after: ({ step, modules }) => {
      const restart = (step + 1) / every;
      if (!Number.isInteger(restart) || restart > restarts) return;
      for (const { layer, tensors } of modules) {
        keep(tensors, (restart - 1) * r, share);
        const [A, B] = [tensors['lora_A']!, tensors['lora_B']!];
        const begin = (): void => {
          const bound = layer.in ** -0.5;
          const random = new TorchRandom((hashOf(layer.path) + seed + restart) >>> 0);
          A.value.set(random.uniform(r * layer.in, -bound, bound));
          B.value.fill(0);
        };
        then({ A, B, begin });
      }
    },
  };
}

/** Adds the factors, with a share of their product, to what is fixed, from this direction on. */
function keep(
  { lora_A: A, lora_B: B, merged_A: allA, merged_B: allB }: Readonly<Record<string, StepTensor>>,
  from: number,
  share: number,
): void {
  const [r, width] = A!.dims as [number, number];
  allA!.value.set(A!.value, from * width);
  const all = allB!.dims[1]!;
  B!.value.forEach((value, i) => {
    allB!.value[Math.floor(i / r) * all + from + (i % r)] = share * value;
  });
}

/** FNV-1a of a path: another number for each layer, whatever the others are. */
export function hashOf(path: string): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(path)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}
