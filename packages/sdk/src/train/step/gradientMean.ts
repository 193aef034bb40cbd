/** @file Weighted mean of gradients, for accumulation and distributed training. */

import { OnnxLoraError } from '../../errors.ts';
import type { Tensor } from '../../runtime/tensor.ts';
import { runInSlices } from '../../graph/eventLoop.ts';
import { slices } from '../slices.ts';

/** A batch's loss and gradients, in the graph's layout, by adapter input name. */
export interface LossAndGradients {
  /** The loss of the batch. */
  readonly loss: number;
  /** One array per trained tensor. */
  readonly gradients: ReadonlyMap<string, Float32Array>;
  /** The batch's weight in means over batches: its `lossWeight`, or 1. */
  readonly weight: number;
  /** Features that the loss compares, `[rows, …]`, for a part of a batch. */
  readonly features?: Tensor;
  /** Why there is no loss, if all targets of the batch are ignored. */
  readonly nothing?: string | undefined;
}

/**
 * A weighted mean of losses and gradients. With weights of a task's `lossWeight`, the mean over parts of a batch equals
 * the whole batch's result. Use it to average results of workers or machines with the same parameters.
 * @example
 * const mean = new GradientMean();
 * for (const { inputs, targets } of batches) await mean.add(await trainer.lossAndGradients(inputs, targets));
 * await trainer.apply(mean.value(), lr);
 */
export class GradientMean {
  readonly #means = new Map<string, Float32Array>();
  #loss = 0;
  #weight = 0;
  #nothing: string | undefined;
  /** Why a skipped part has no loss. */
  #left: string | undefined;

  /**
   * Adds a part; one of weight 0, with all targets ignored, is skipped.
   * @throws OnnxLoraError `INPUT_INVALID` for a weight below 0, or gradients of different parameters
   */
  async add({ loss, gradients, weight, nothing }: LossAndGradients): Promise<void> {
    if (!Number.isFinite(weight) || weight < 0) {
      throw new OnnxLoraError(
        'INPUT_INVALID',
        `The weight of a batch must be a number of 0 or more, but it is ${weight}. Check the task's lossWeight.`,
      );
    }
    if (weight === 0) {
      this.#left ??= nothing;
      return;
    }
    this.#nothing ??= nothing;
    const isFirst = this.#weight === 0;
    // A running mean: a sum of gradients could overflow float32 where the mean does not.
    this.#weight += weight;
    const share = weight / this.#weight;
    this.#loss += share * (loss - this.#loss);
    if (!isFirst && gradients.size !== this.#means.size) throw differ();
    for (const [name, gradient] of gradients) {
      const mean = isFirst ? new Float32Array(gradient.length) : this.#means.get(name);
      if (mean?.length !== gradient.length) throw differ();
      this.#means.set(name, mean);
      await runInSlices(moveTowards(mean, gradient, share));
    }
  }

  /** The mean so far, with a loss of NaN if nothing had weight. The arrays are not copied. */
  value(): LossAndGradients {
    const isNone = this.#weight === 0;
    const nothing = isNone ? this.#left : this.#nothing;
    return { loss: isNone ? NaN : this.#loss, gradients: this.#means, weight: this.#weight, ...(nothing === undefined ? {} : { nothing }) }; // prettier-ignore
  }
}

function moveTowards(mean: Float32Array, part: Float32Array, share: number): Generator<void, void> {
  return slices(mean.length, (from, to) => {
    for (let i = from; i < to; i++) mean[i]! += share * (part[i]! - mean[i]!);
  });
}

function differ(): OnnxLoraError {
  return new OnnxLoraError(
    'INPUT_INVALID',
    'These are not gradients of the same parameters, so they have no mean. Average only what trainers of one adapter computed.',
  );
}
