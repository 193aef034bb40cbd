/** @file LoRA with restarts: ReLoRA, COLA and PeriodicLoRA. */

import { type StepTensor, TorchRandom, type Tuner, type TunerSettings } from '@onnx-lora/sdk/plugin';
import { loraOf } from '../lowRank/lora.ts';
import { finite, whole, wrong } from '../settings.ts';
import { zeros } from '../tensors.ts';

/** Settings of all restarts: every how many steps, and how often. */
const restartDefaults = { r: 8, lora_alpha: 16, restart_every: 500, restarts: 3, seed: 0 };

/**
 * LoRA's A and B, and the merged ones: factors that grow by r per restart. Writing the change into the weights would
 * mean rebuilding the graph, checkpoints with the whole base, and a model as the result; a dense ΔW would be as large as
 * the layer. Factors are exact, keep the adapter small, and are plain LoRA of a higher rank.
 */
const tuneRestarted: Tuner['tune'] = (layer, settings) => {
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
function restarting(
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

/** ReLoRA: merges and restarts LoRA, keeping a part of the optimizer's state. */
export const relora: Tuner = {
  name: 'relora',
  peftType: 'RELORA',
  paper: 'https://arxiv.org/abs/2307.05695',
  description: 'ReLoRA: LoRA that is added to what is fixed every so many steps, and starts over',
  // `prune_ratio`: share of the optimizer's moments that a restart zeroes, the smallest first.
  defaults: { ...restartDefaults, prune_ratio: 0.9 },
  tune: (layer, settings, ...more) => {
    const ratio = finite(settings, 'prune_ratio');
    if (ratio < 0 || ratio > 1) throw wrong(settings, 'prune_ratio', 'from 0 to 1');
    return tuneRestarted(layer, settings, ...more);
  },
  training: (settings) =>
    restarting(settings, 1, ({ A, B, begin }) => {
      begin();
      for (const { moments } of [A, B]) pruneSmallest(moments!(), finite(settings, 'prune_ratio'));
    }),
};

/**
 * Zeroes both moments of an entry unless each exceeds its quantile of magnitudes (interpolated as torch.quantile). The
 * authors prune them separately; a first moment without its second then moves by 1/eps, as A's gradient is zero while B
 * is.
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

/** COLA: a chain of LoRAs; each learns the residual of the earlier ones with a fresh optimizer. */
export const cola: Tuner = {
  name: 'cola',
  peftType: 'COLA',
  paper: 'https://arxiv.org/abs/2401.04151',
  description: 'COLA: a chain of LoRAs; every so many steps one is fixed, and the next begins with a fresh optimizer', // prettier-ignore
  defaults: restartDefaults,
  tune: tuneRestarted,
  training: (settings) =>
    restarting(settings, 1, ({ A, B, begin }) => {
      begin();
      A.forget!();
      B.forget!();
    }),
};

/** PeriodicLoRA: merges a share of B·A, and continues with the rest. */
export const periodicLora: Tuner = {
  name: 'periodic-lora',
  peftType: 'PERIODIC_LORA',
  paper: 'https://arxiv.org/abs/2402.16141',
  description: 'PeriodicLoRA: every so many steps a share (`momentum_ratio`) of the product B·A is added to a fixed part, and the rest continues; with 1, LoRA starts over', // prettier-ignore
  // Share and period of the authors' scripts.
  defaults: { ...restartDefaults, restart_every: 250, restarts: 8, momentum_ratio: 0.1 },
  tune: (layer, settings, ...more) => {
    const share = finite(settings, 'momentum_ratio');
    if (!(share > 0 && share <= 1)) throw wrong(settings, 'momentum_ratio', 'above 0, and at most 1');
    return tuneRestarted(layer, settings, ...more);
  },
  training: (settings) => {
    const share = finite(settings, 'momentum_ratio');
    return restarting(settings, share, ({ A, B, begin }) => {
      if (share === 1) begin();
      for (const { value, moments } of [A, B]) {
        // √ of the rest, so that the layer's output stays.
        if (share < 1) for (let i = 0; i < value.length; i++) value[i]! *= Math.sqrt(1 - share);
        // The authors keep one moment in a thousand at random.
        for (const moment of moments!()) moment.fill(0);
      }
    });
  },
};
