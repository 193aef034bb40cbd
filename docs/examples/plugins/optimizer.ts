/** @file An optimizer by a name, with a setting of its own and a state that checkpoints keep. */

import { float32, OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import type { Optimizer, OptimizerFactory, UpdateSettings } from '@onnx-lora/sdk/plugin';

/** signSGD with momentum. @see https://arxiv.org/abs/1802.04434, algorithm 2 */
class Signum implements Optimizer {
  readonly name = 'signum';
  readonly weightDecay = 0;
  readonly #momentum: number;
  readonly #means = new Map<string, Tensor>();

  constructor(momentum: number) {
    this.#momentum = momentum;
  }

  *update(
    name: string,
    value: Float32Array,
    gradient: Float32Array,
    { lr, weightDecay, dims }: UpdateSettings,
  ): Generator<void, void> {
    // prettier-ignore
    const mean = this.#means.get(name) ?? float32(new Float32Array(value.length), dims);
    this.#means.set(name, mean);
    gradient.forEach((each, i) => {
      mean.data[i] = this.#momentum * Number(mean.data[i]) + (1 - this.#momentum) * each;
      value[i]! -= lr * (Math.sign(Number(mean.data[i])) + weightDecay * value[i]!);
    });
    // Large parameters are done in slices, with a yield between; here one is enough.
    yield;
  }

  state(): Map<string, Tensor> {
    return new Map(this.#means);
  }

  load(state: ReadonlyMap<string, Tensor>, dims: ReadonlyMap<string, readonly number[]>): void {
    this.#means.clear();
    for (const [name, mean] of state) {
      if (mean.dims.join() !== dims.get(name)?.join())
        throw new OnnxLoraError('FILE_INVALID', `The checkpoint has a mean of "${name}", which is not of its shape. Resume the run that wrote it.`); // prettier-ignore
      this.#means.set(name, float32(Float32Array.from(mean.data as Float32Array), mean.dims));
    }
  }
}

/** `optimizer: { name: 'signum', momentum: 0.95 }`, or `--optimizer signum`. */
export const signum: OptimizerFactory = {
  name: 'signum',
  create: ({ momentum = 0.9 }) => {
    if (typeof momentum === 'number' && momentum >= 0 && momentum < 1) return new Signum(momentum);
    throw new OnnxLoraError('CONFIG_INVALID', `momentum of signum is ${JSON.stringify(momentum)}. Give a number from 0 to below 1.`); // prettier-ignore
  },
};
