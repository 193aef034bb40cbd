/** @file Adam and AdamW, as torch computes them. */

import { type Tensor, sizeOf } from '../../runtime/tensor.ts';
import { slices } from '../turns.ts';
import { Memory } from './memory.ts';
import { numberIn, notNegative } from './numbers.ts';
import type { Optimizer, UpdateSettings } from './optimizer.ts';

/** Settings of Adam and AdamW; the defaults are torch's. */
export interface AdamOptions {
  /** Which of the two: they differ in what weight decay does. */
  readonly name: 'adamw' | 'adam';
  /** How slowly the means of gradients and of their squares change; 0.9 and 0.999 by default. */
  readonly betas?: readonly [number, number];
  /** Added to the root of the mean square; 1e-8 by default. */
  readonly eps?: number;
  /**
   * AdamW first multiplies the weights by `1 − lr·weightDecay` (0.01 by default); Adam adds `weightDecay` times the weights
   * to the gradient (0 by default).
   */
  readonly weightDecay?: number;
  /** Divide by the largest mean square so far instead of the present one; false by default. */
  readonly amsgrad?: boolean;
}

type Slot = 'exp_avg' | 'exp_avg_sq' | 'max_exp_avg_sq';

/**
 * Adam, with weight decay in the gradient (`adam`) or decoupled (`adamw`).
 *
 * @see https://arxiv.org/abs/1412.6980, https://arxiv.org/abs/1711.05101, and torch.optim.Adam and AdamW
 */
export class Adam implements Optimizer {
  readonly name: AdamOptions['name'];
  readonly weightDecay: number;
  readonly #betas: readonly [number, number];
  readonly #eps: number;
  readonly #amsgrad: boolean;
  readonly #memory: Memory<Slot>;

  /** @throws OnnxLoraError `CONFIG_INVALID` for a number out of its range */
  constructor({ name, betas = [0.9, 0.999], eps = 1e-8, weightDecay, amsgrad = false }: AdamOptions) {
    this.name = name;
    this.weightDecay = notNegative('weightDecay', weightDecay ?? (name === 'adamw' ? 0.01 : 0));
    this.#betas = [numberIn('betas[0]', betas[0], 0, 1), numberIn('betas[1]', betas[1], 0, 1)];
    this.#eps = notNegative('eps', eps);
    this.#amsgrad = amsgrad;
    this.#memory = new Memory((dims) => {
      const size = sizeOf(dims);
      return { exp_avg: size, exp_avg_sq: size, max_exp_avg_sq: amsgrad ? size : 0 };
    });
  }

  *update(
    name: string,
    value: Float32Array,
    gradient: Float32Array,
    { lr, weightDecay, dims }: UpdateSettings,
  ): Generator<void, void> {
    const remembered = this.#memory.of(name, dims);
    const step = ++remembered.step;
    const { exp_avg, exp_avg_sq, max_exp_avg_sq } = remembered.arrays;
    const [beta1, beta2] = this.#betas;
    const isDecoupled = this.name === 'adamw';
    const numbers: StepNumbers = {
      beta1,
      beta2,
      eps: this.#eps,
      size: lr / (1 - beta1 ** step),
      correction: 1 / Math.sqrt(1 - beta2 ** step),
      keep: isDecoupled ? 1 - lr * weightDecay : 1,
      l2: isDecoupled ? 0 : weightDecay,
    };
    yield* slices(value.length, (from, to) => {
      if (this.#amsgrad) moveByLargest(value, gradient, exp_avg, exp_avg_sq, max_exp_avg_sq, numbers, from, to);
      else move(value, gradient, exp_avg, exp_avg_sq, numbers, from, to);
    });
  }

  state(): Map<string, Tensor> {
    return this.#memory.state();
  }

  load(state: ReadonlyMap<string, Tensor>, dims: ReadonlyMap<string, readonly number[]>): void {
    this.#memory.load(state, dims);
  }
}

interface StepNumbers {
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
  /** The learning rate over the first moment's bias correction. */
  readonly size: number;
  /** One over the root of the second moment's bias correction. */
  readonly correction: number;
  /** What decoupled decay leaves of a weight. */
  readonly keep: number;
  /** How much of a weight is added to its gradient. */
  readonly l2: number;
}

// Two loops instead of a branch within: the plain one is most of what a step costs outside the graph.

function move(
  value: Float32Array,
  gradient: Float32Array,
  first: Float32Array,
  second: Float32Array,
  { beta1, beta2, eps, size, correction, keep, l2 }: StepNumbers,
  from: number,
  to: number,
): void {
  for (let i = from; i < to; i++) {
    const g = gradient[i]! + l2 * value[i]!;
    const m = (first[i] = beta1 * first[i]! + (1 - beta1) * g);
    const v = (second[i] = beta2 * second[i]! + (1 - beta2) * g * g);
    value[i] = keep * value[i]! - (size * m) / (Math.sqrt(v) * correction + eps);
  }
}

function moveByLargest(
  value: Float32Array,
  gradient: Float32Array,
  first: Float32Array,
  second: Float32Array,
  largest: Float32Array,
  { beta1, beta2, eps, size, correction, keep, l2 }: StepNumbers,
  from: number,
  to: number,
): void {
  for (let i = from; i < to; i++) {
    const g = gradient[i]! + l2 * value[i]!;
    const m = (first[i] = beta1 * first[i]! + (1 - beta1) * g);
    const now = (second[i] = beta2 * second[i]! + (1 - beta2) * g * g);
    const v = (largest[i] = now > largest[i]! ? now : largest[i]!);
    value[i] = keep * value[i]! - (size * m) / (Math.sqrt(v) * correction + eps);
  }
}
