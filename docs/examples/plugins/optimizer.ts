/** @file An optimizer by a name, with a setting of its own and a memory that checkpoints keep. */

import { type Optimizer, type OptimizerFactory, optimizerTools } from '@onnx-lora/sdk/plugin';

const { fraction, settingsOf, zeros } = optimizerTools;

/** signSGD with momentum. @see https://arxiv.org/abs/1802.04434, algorithm 2 */
function withMomentum(momentum: number): Optimizer<'mean'> {
  return {
    name: 'signum',
    weightDecay: 0,
    init: (dims) => ({ mean: zeros(dims) }),
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
  create: (given) =>
    withMomentum(settingsOf<{ momentum: number }>('signum', given, { momentum: fraction(0.9) }).momentum),
};
