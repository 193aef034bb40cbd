/** @file PeriodicLoRA: merges a share of B·A into a frozen part every N steps. */

import type { Tuner } from '@onnx-lora/sdk/plugin';
import { restartDefaults, restarting, tuneRestarted } from './restarts.ts';
import { finite, wrong } from '../settings.ts';

export const periodicLora: Tuner = {
  name: 'periodic-lora',
  peftType: 'PERIODIC_LORA',
  paper: 'https://arxiv.org/abs/2402.16141',
  description: 'PeriodicLoRA: every so many steps a share (`momentum_ratio`) of the product B·A is added to a fixed part, and the rest goes on; with 1, LoRA begins anew', // prettier-ignore
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
