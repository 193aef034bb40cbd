/** @file LoRA with sparsity: GS-LoRA by layers, SoRA by directions. */

import type { Tuner } from '@onnx-lora/sdk/plugin';
import { loraOf } from '../lowRank/lora.ts';
import { finite, whole } from '../settings.ts';
import { normal } from '../tensors.ts';

/** GS-LoRA: a group lasso over layers, so that few of them change. */
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

/** SoRA: a gate per direction, with a proximal step that closes unimportant ones. */
export const sora: Tuner = {
  name: 'sora',
  peftType: 'SORA',
  paper: 'https://arxiv.org/abs/2311.11696',
  description: 'SoRA: LoRA with a gate per direction; a proximal step closes unimportant ones',
  // The authors' names and values: weight of the mean gate in the loss, and step of the soft threshold.
  defaults: { r: 8, lora_alpha: 16, sparse_lambda: 10, sparse_lambda_2: 3e-4 },
  tune: (layer, settings) => {
    const { r, scaling, tensors } = loraOf(layer, settings);
    return {
      tensors: { ...tensors, gate: normal([1, r], 1) },
      factors: (g, { lora_A: A, lora_B: B, gate }) => ({ A: A!, B: g.Mul(g.Mul(B!, gate!), scaling) }),
    };
  },
  training: (settings) => {
    const [r, weight, threshold] = [whole(settings, 'r'), finite(settings, 'sparse_lambda'), finite(settings, 'sparse_lambda_2')]; // prettier-ignore
    return {
      loss: (g, modules) => {
        const sums = modules.map(({ tensors: { gate } }) => g.ReduceSum(g.Abs(gate!), [0, 1], false));
        const sum = sums.reduce((one, other) => g.Add(one, other));
        return g.Mul(sum, weight / (r * modules.length));
      },
      // The paper's soft threshold; the released operator zeroes what is below twice the threshold.
      after: ({ modules }) => {
        for (const { tensors } of modules) {
          const { value } = tensors['gate']!;
          for (let i = 0; i < value.length; i++)
            value[i] = Math.sign(value[i]!) * Math.max(0, Math.abs(value[i]!) - threshold);
        }
      },
    };
  },
};
