/** @file AdamW in plain JavaScript and double precision, as torch computes it, for the training of a case. */

import type { CaseTraining } from '../conformance/case.ts';

/** Settings of {@link AdamW64}: those of a case. */
export type AdamWSettings = Pick<CaseTraining, 'lr' | 'betas' | 'eps' | 'weightDecay'>;

/** Moves one tensor. @see https://arxiv.org/abs/1711.05101 */
export class AdamW64 {
  readonly #settings: AdamWSettings;
  readonly #mean: Float64Array;
  readonly #square: Float64Array;
  #steps = 0;

  constructor(size: number, settings: AdamWSettings) {
    this.#settings = settings;
    this.#mean = new Float64Array(size);
    this.#square = new Float64Array(size);
  }

  /** One step, in place. */
  step(values: Float64Array, gradient: Float64Array): void {
    const { lr, betas, eps, weightDecay } = this.#settings;
    const [first, second] = betas;
    this.#steps++;
    for (let i = 0; i < values.length; i++) {
      const g = gradient[i]!;
      const m = (this.#mean[i] = first * this.#mean[i]! + (1 - first) * g);
      const v = (this.#square[i] = second * this.#square[i]! + (1 - second) * g * g);
      const [mean, square] = [m / (1 - first ** this.#steps), v / (1 - second ** this.#steps)];
      values[i] = values[i]! * (1 - lr * weightDecay) - (lr * mean) / (Math.sqrt(square) + eps);
    }
  }
}
