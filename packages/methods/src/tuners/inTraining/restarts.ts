/**
 * @file Restarts of LoRA, shared by ReLoRA, COLA and PeriodicLoRA.
 *
 * Merged changes stay as factors next to the frozen base, and grow by r per restart. Writing them into the weights
 * would mean rebuilding the graph, checkpoints with the whole base, and a model as the result; a dense ΔW would be as
 * large as the layer. Factors are exact, keep the adapter small, and are plain LoRA of a higher rank.
 */

import { type StepTensor, TorchRandom, type Tuner, type TunerSettings } from '@onnx-lora/sdk/plugin';
import { loraOf } from '../lowRank/lora.ts';
import { whole } from '../settings.ts';
import { zeros } from '../tensors.ts';

/** Settings of all restarts: every how many steps, and how often. */
export const restartDefaults = { r: 8, lora_alpha: 16, restart_every: 500, restarts: 3, seed: 0 };

/** LoRA's A and B, and the merged ones. */
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

interface Restarted {
  readonly A: StepTensor;
  readonly B: StepTensor;
  readonly begin: () => void;
}

/** Merges a share of the change every `restart_every` steps; `then` resets the factors and their optimizer state. */
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

/** Appends the factors to the merged ones, with `share` of their product. */
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

/** FNV-1a of a path: a seed per layer that does not depend on the other layers. */
export function hashOf(path: string): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(path)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}
