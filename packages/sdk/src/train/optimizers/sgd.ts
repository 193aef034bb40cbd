/** @file Stochastic gradient descent with momentum, as torch computes it. */

import { OnnxLoraError } from '../../errors.ts';
import { sizeOf, type Tensor } from '../../runtime/tensor.ts';
import { slices } from '../turns.ts';
import { Memory } from './memory.ts';
import { notNegative } from './numbers.ts';
import type { Optimizer, UpdateSettings } from './optimizer.ts';

/** Settings of SGD; the defaults are torch's. */
export interface SgdOptions {
  readonly name: 'sgd';
  /** How much of the last move is made again; 0 by default. */
  readonly momentum?: number;
  /** How much of a gradient is left out of the momentum, from the second step on; 0 by default. */
  readonly dampening?: number;
  /** Nesterov's momentum: the gradient counts once more; false by default. */
  readonly nesterov?: boolean;
  /** How much of the weights is added to the gradient; 0 by default. */
  readonly weightDecay?: number;
}

/**
 * Gradient descent with momentum, dampening and Nesterov's form of it.
 *
 * @see torch.optim.SGD
 */
export class Sgd implements Optimizer {
  readonly name = 'sgd';
  readonly weightDecay: number;
  readonly #momentum: number;
  readonly #dampening: number;
  readonly #nesterov: boolean;
  readonly #memory: Memory<'momentum_buffer'>;

  /** @throws OnnxLoraError `CONFIG_INVALID` for a number out of its range, and for `nesterov` without plain momentum */
  constructor({ momentum = 0, dampening = 0, nesterov = false, weightDecay = 0 }: Omit<SgdOptions, 'name'> = {}) {
    this.weightDecay = notNegative('weightDecay', weightDecay);
    this.#momentum = notNegative('momentum', momentum);
    this.#dampening = notNegative('dampening', dampening);
    this.#nesterov = nesterov;
    if (nesterov && (momentum === 0 || dampening !== 0)) {
      throw new OnnxLoraError('CONFIG_INVALID', 'nesterov needs a momentum above 0 and a dampening of 0.');
    }
    this.#memory = new Memory((dims) => ({ momentum_buffer: momentum === 0 ? 0 : sizeOf(dims) }));
  }

  *update(
    name: string,
    value: Float32Array,
    gradient: Float32Array,
    { lr, weightDecay, dims }: UpdateSettings,
  ): Generator<void, void> {
    const remembered = this.#memory.of(name, dims);
    const isFirst = ++remembered.step === 1;
    const { momentum_buffer: buffer } = remembered.arrays;
    const momentum = this.#momentum;
    // The first buffer is the gradient itself, dampened or not.
    const share = isFirst ? 1 : 1 - this.#dampening;
    yield* slices(value.length, (from, to) => {
      if (momentum === 0) descend(value, gradient, lr, weightDecay, from, to);
      else descendWithMomentum(value, gradient, buffer, lr, weightDecay, momentum, share, this.#nesterov, from, to);
    });
  }

  state(): Map<string, Tensor> {
    return this.#memory.state();
  }

  load(state: ReadonlyMap<string, Tensor>, dims: ReadonlyMap<string, readonly number[]>): void {
    this.#memory.load(state, dims);
  }
}

function descend(
  value: Float32Array,
  gradient: Float32Array,
  lr: number,
  weightDecay: number,
  from: number,
  to: number,
): void {
  for (let i = from; i < to; i++) value[i] = value[i]! - lr * (gradient[i]! + weightDecay * value[i]!);
}

function descendWithMomentum(
  value: Float32Array,
  gradient: Float32Array,
  buffer: Float32Array,
  lr: number,
  weightDecay: number,
  momentum: number,
  share: number,
  nesterov: boolean,
  from: number,
  to: number,
): void {
  for (let i = from; i < to; i++) {
    const g = gradient[i]! + weightDecay * value[i]!;
    const b = (buffer[i] = momentum * buffer[i]! + share * g);
    value[i] = value[i]! - lr * (nesterov ? g + momentum * b : b);
  }
}
