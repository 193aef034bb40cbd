/** @file An optimizer by a name, with a setting of its own and a memory that checkpoints keep. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { Optimizer, OptimizerFactory } from '@onnx-lora/sdk/plugin';

/** signSGD with momentum. @see https://arxiv.org/abs/1802.04434, algorithm 2 */
function withMomentum(momentum: number): Optimizer<'mean'> {
  return {
    name: 'signum',
    weightDecay: 0,
    init: (dims) => ({ mean: new Float32Array(dims.reduce((product, dim) => product * dim, 1)) }),
    *update(value, gradient, { arrays: { mean } }, { lr, weightDecay }) {
      gradient.forEach((each, i) => {
        mean[i] = momentum * mean[i]! + (1 - momentum) * each;
        value[i]! -= lr * (Math.sign(mean[i]) + weightDecay * value[i]!);
      });
      // Large parameters are done in slices, with a yield between; here one is enough.
      yield;
    },
  };
}

/** `optimizer: { name: 'signum', momentum: 0.95 }`, or `--optimizer signum`. */
export const signum: OptimizerFactory = {
  name: 'signum',
  create: ({ momentum = 0.9 }) => {
    if (typeof momentum === 'number' && momentum >= 0 && momentum < 1) return withMomentum(momentum);
    throw new OnnxLoraError('CONFIG_INVALID', `momentum of signum is ${JSON.stringify(momentum)}. Give a number from 0 to below 1.`); // prettier-ignore
  },
};
