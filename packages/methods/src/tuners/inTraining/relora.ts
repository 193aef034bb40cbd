/** @file ReLoRA: merges and restarts LoRA every N steps, keeping a part of the optimizer's state. */

import type { Tuner } from '@onnx-lora/sdk/plugin';
import { restartDefaults, restarting, tuneRestarted } from './restarts.ts';
import { finite, wrong } from '../settings.ts';

export const relora: Tuner = {
  name: 'relora',
  peftType: 'RELORA',
  paper: 'https://arxiv.org/abs/2307.05695',
  description: 'ReLoRA: LoRA that is added to what is fixed every so many steps, and begins anew',
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
