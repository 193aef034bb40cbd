/** @file The mean of several batches' gradients: for accumulation, and for what several machines computed. */

import { OnnxLoraError } from '../../errors.ts';
import type { Tensor } from '../../runtime/tensor.ts';
import { inTurns } from '../../graph/turns.ts';
import { slices } from '../turns.ts';

/** One batch's loss and gradients, in the graph's layout, by adapter input name. */
export interface LossAndGradients {
  /** The loss of the batch. */
  readonly loss: number;
  /** One array per trained tensor, of its shape. */
  readonly gradients: ReadonlyMap<string, Float32Array>;
  /** How much the batch counts in a mean over batches: its `lossWeight`, or 1 where there is none. */
  readonly weight: number;
  /** What the loss compares, `[rows, …]`, where it is of a part of a batch. */
  readonly features?: Tensor;
  /** Why there is no loss, where nothing of the batch counts. */
  readonly nothing?: string | undefined;
}

/**
 * A mean of losses and gradients, each counted by its weight. With the weights that a task's `lossWeight` gives, the mean
 * over the parts of a batch is what the batch at once gives. This is the place to average what several workers or machines
 * computed with the same parameters: the trainer asks only for a loss and gradients.
 *
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
  /** Why there is no loss of a part that was left out. */
  #left: string | undefined;

  /**
   * Adds one part. What weighs nothing, since all its targets are ignored, is left out.
   *
   * @throws OnnxLoraError `INPUT_INVALID` for a weight below 0, and where the parts are gradients of different parameters
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
    // Means instead of sums: a sum of gradients can leave the range of float32 where the mean does not.
    this.#weight += weight;
    const share = weight / this.#weight;
    this.#loss += share * (loss - this.#loss);
    if (!isFirst && gradients.size !== this.#means.size) throw differ();
    for (const [name, gradient] of gradients) {
      const mean = isFirst ? new Float32Array(gradient.length) : this.#means.get(name);
      if (mean?.length !== gradient.length) throw differ();
      this.#means.set(name, mean);
      await inTurns(moveTowards(mean, gradient, share));
    }
  }

  /** The mean so far, of which the loss is NaN when nothing of any weight was added. The arrays are the mean's own. */
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
