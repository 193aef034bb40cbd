/** @file ReLoRA: LoRA that begins anew every so many steps, with some of what the optimizer remembers. */

import type { Tuner } from '@onnx-lora/sdk/plugin';
import { restartDefaults, restarting, tuneRestarted } from './restarts.ts';
import { finite, wrong } from '../settings.ts';

export const relora: Tuner = {
  name: 'relora',
  peftType: 'RELORA',
  paper: 'https://arxiv.org/abs/2307.05695',
  description: 'ReLoRA: LoRA that is added to what is fixed every so many steps, and begins anew',
  // `prune_ratio`: the share of the optimizer's moments that a restart sets to zero, the smallest first.
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
