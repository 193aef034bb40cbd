/** @file GS-LoRA: a group lasso over layers, so that few of them change. */

import type { Tuner } from '@onnx-lora/sdk/plugin';
import { loraOf } from '../lowRank/lora.ts';
import { finite } from '../settings.ts';

export const gsLora: Tuner = {
  name: 'gs-lora',
  peftType: 'GS_LORA',
  paper: 'https://arxiv.org/abs/2403.11530',
  description: 'GS-LoRA: LoRA whose layers are pulled to zero as wholes, to unlearn in few of them (see `unlearning`)',
  defaults: { r: 8, lora_alpha: 16, group_lasso: 0.1 },
  tune: loraOf,
  training: (settings) => ({
    loss: (g, modules) => {
      const norms = modules.map(({ tensors: { lora_A: A, lora_B: B } }) =>
        g.Sqrt(g.Add(g.ReduceSumSquare(A!, [0, 1], false), g.ReduceSumSquare(B!, [0, 1], false))),
      );
      return g.Mul(norms.reduce((one, other) => g.Add(one, other)), finite(settings, 'group_lasso')); // prettier-ignore
    },
  }),
};
