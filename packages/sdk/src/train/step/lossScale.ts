/** @file The loss scale of graphs that compute in float16, whose small gradients would otherwise become 0. */

import { numberIn, positive } from '../../checks.ts';

/** Settings of dynamic loss scaling; the defaults are torch's. */
export interface LossScalingOptions {
  /** First scale; 65,536 by default. */
  readonly initial?: number;
  /** Factor on the scale after `growthInterval` steps without overflow; 2 by default. */
  readonly growth?: number;
  /** Factor on the scale after an overflow; 0.5 by default. */
  readonly backoff?: number;
  /** 2,000 by default. */
  readonly growthInterval?: number;
}

/**
 * A scale as high as gradients allow: it grows while they are finite, and shrinks when they are not.
 *
 * @see torch.amp.GradScaler, and https://arxiv.org/abs/1710.03740
 */
export class LossScale {
  readonly #growth: number;
  readonly #backoff: number;
  readonly #interval: number;
  #value: number;
  #steps = 0;

  /** @throws OnnxLoraError `CONFIG_INVALID` for a number out of its range */
  constructor({ initial = 65_536, growth = 2, backoff = 0.5, growthInterval = 2000 }: LossScalingOptions = {}) {
    this.#value = positive('lossScaling.initial', initial);
    this.#growth = numberIn('lossScaling.growth', growth, 1, Infinity);
    this.#backoff = numberIn('lossScaling.backoff', backoff, 0, 1);
    this.#interval = positive('lossScaling.growthInterval', growthInterval);
  }

  /** What the loss is multiplied by. */
  get value(): number {
    return this.#value;
  }

  /** Notes a step whose gradients were finite. */
  succeed(): void {
    if (++this.#steps < this.#interval) return;
    this.#steps = 0;
    // Above the largest float32 there is nothing to gain, and a scale of Infinity would never come back.
    if (Number.isFinite(Math.fround(this.#value * this.#growth))) this.#value *= this.#growth;
  }

  /**
   * Notes a step whose gradients overflowed.
   *
   * @returns whether a lower scale may help: with a scale below 1 it was not the scale that made them overflow
   */
  overflow(): boolean {
    if (this.#value < 1) return false;
    this.#steps = 0;
    this.#value *= this.#backoff;
    return true;
  }

  /** Scale and position, as plain numbers. */
  state(): LossScaleState {
    return { value: this.#value, steps: this.#steps };
  }

  /** Goes on from a state. */
  load({ value, steps }: LossScaleState): void {
    this.#value = value;
    this.#steps = steps;
  }
}

/** Where a loss scale stands. */
export interface LossScaleState {
  readonly value: number;
  /** Steps since the scale last changed. */
  readonly steps: number;
}
