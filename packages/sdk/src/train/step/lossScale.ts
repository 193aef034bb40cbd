/** @file Loss scaling for float16 graphs, whose small gradients would underflow. */

import { numberIn, positive } from '../../checks.ts';

/** Settings of dynamic loss scaling; the defaults are torch's. */
export interface LossScalingOptions {
  /** First scale; 65,536 by default. */
  readonly initial?: number;
  /** Factor after `growthInterval` steps without overflow; 2 by default. */
  readonly growth?: number;
  /** Factor after an overflow; 0.5 by default. */
  readonly backoff?: number;
  /** 2,000 by default. */
  readonly growthInterval?: number;
}

/** Dynamic loss scale: grows while gradients are finite, shrinks on overflow, as torch.amp.GradScaler. */
export class LossScale {
  readonly #growth: number;
  readonly #backoff: number;
  readonly #interval: number;
  #value: number;
  #steps = 0;

  /** @throws OnnxLoraError `CONFIG_INVALID` for a number out of range */
  constructor({ initial = 65_536, growth = 2, backoff = 0.5, growthInterval = 2000 }: LossScalingOptions = {}) {
    this.#value = positive('lossScaling.initial', initial);
    this.#growth = numberIn('lossScaling.growth', growth, 1, Infinity);
    this.#backoff = numberIn('lossScaling.backoff', backoff, 0, 1);
    this.#interval = positive('lossScaling.growthInterval', growthInterval);
  }

  /** The current scale. */
  get value(): number {
    return this.#value;
  }

  /** Notes a step with finite gradients. */
  succeed(): void {
    if (++this.#steps < this.#interval) return;
    this.#steps = 0;
    // Beyond float32 there is nothing to gain, and a scale of Infinity would never come back.
    if (Number.isFinite(Math.fround(this.#value * this.#growth))) this.#value *= this.#growth;
  }

  /** Notes an overflow. Returns whether a lower scale may help: below 1 the scale was not the cause. */
  overflow(): boolean {
    if (this.#value < 1) return false;
    this.#steps = 0;
    this.#value *= this.#backoff;
    return true;
  }

  /** The state as plain numbers. */
  state(): LossScaleState {
    return { value: this.#value, steps: this.#steps };
  }

  load({ value, steps }: LossScaleState): void {
    this.#value = value;
    this.#steps = steps;
  }
}

export interface LossScaleState {
  readonly value: number;
  /** Steps since the scale last changed. */
  readonly steps: number;
}
