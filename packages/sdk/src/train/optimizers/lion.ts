/** @file Lion: steps of one size, in the direction of a mean gradient's sign. */

import { sizeOf, type Tensor } from '../../runtime/tensor.ts';
import { slices } from '../turns.ts';
import { Memory } from './memory.ts';
import { notNegative, numberIn } from './numbers.ts';
import type { Optimizer, UpdateSettings } from './optimizer.ts';

/** Settings of Lion; the defaults are the paper's. */
export interface LionOptions {
  readonly name: 'lion';
  /** The share of the mean in the direction, and how slowly the mean changes; 0.9 and 0.99 by default. */
  readonly betas?: readonly [number, number];
  /** Decoupled: a step first multiplies the weights by `1 − lr·weightDecay`; 0 by default. */
  readonly weightDecay?: number;
}

/**
 * Lion. Every number moves by the learning rate in each step, so the rate is to be 3 to 10 times lower than AdamW's, and
 * the weight decay higher by as much.
 *
 * @see https://arxiv.org/abs/2302.06675, algorithm 2
 */
export class Lion implements Optimizer {
  readonly name = 'lion';
  readonly weightDecay: number;
  readonly #betas: readonly [number, number];
  readonly #memory = new Memory<'exp_avg'>((dims) => ({ exp_avg: sizeOf(dims) }));

  /** @throws OnnxLoraError `CONFIG_INVALID` for a number out of its range */
  constructor({ betas = [0.9, 0.99], weightDecay = 0 }: Omit<LionOptions, 'name'> = {}) {
    this.weightDecay = notNegative('weightDecay', weightDecay);
    this.#betas = [numberIn('betas[0]', betas[0], 0, 1), numberIn('betas[1]', betas[1], 0, 1)];
  }

  *update(
    name: string,
    value: Float32Array,
    gradient: Float32Array,
    { lr, weightDecay, dims }: UpdateSettings,
  ): Generator<void, void> {
    const remembered = this.#memory.of(name, dims);
    remembered.step++;
    const { exp_avg } = remembered.arrays;
    const [beta1, beta2] = this.#betas;
    const keep = 1 - lr * weightDecay;
    yield* slices(value.length, (from, to) => {
      move(value, gradient, exp_avg, beta1, beta2, lr, keep, from, to);
    });
  }

  state(): Map<string, Tensor> {
    return this.#memory.state();
  }

  load(state: ReadonlyMap<string, Tensor>, dims: ReadonlyMap<string, readonly number[]>): void {
    this.#memory.load(state, dims);
  }
}

function move(
  value: Float32Array,
  gradient: Float32Array,
  mean: Float32Array,
  beta1: number,
  beta2: number,
  lr: number,
  keep: number,
  from: number,
  to: number,
): void {
  for (let i = from; i < to; i++) {
    const g = gradient[i]!;
    const m = mean[i]!;
    const direction = beta1 * m + (1 - beta1) * g;
    // The sign by a division, as Math.sign takes four times as long: a float32 is far above 1e-300, or 0.
    value[i] = keep * value[i]! - lr * (direction / (Math.abs(direction) + 1e-300));
    mean[i] = beta2 * m + (1 - beta2) * g;
  }
}
