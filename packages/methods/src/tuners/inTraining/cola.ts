/** @file COLA: a chain of LoRAs; each learns the residual of the earlier ones with a fresh optimizer. */

import type { Tuner } from '@onnx-lora/sdk/plugin';
import { restartDefaults, restarting, tuneRestarted } from './restarts.ts';

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
