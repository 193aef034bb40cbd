/** @file AdamW, as torch computes it. */

/** Settings of `AdamW`; the defaults are torch's. */
export interface AdamWOptions {
  readonly betas?: readonly [number, number];
  readonly eps?: number;
  /** Decoupled weight decay: a step first multiplies the weights by `1 − lr·weightDecay`. */
  readonly weightDecay?: number;
}

/**
 * Adam with decoupled weight decay.
 *
 * @see https://arxiv.org/abs/1711.05101 and torch.optim.AdamW
 */
export class AdamW {
  readonly #betas: readonly [number, number];
  readonly #eps: number;
  readonly #weightDecay: number;
  readonly #moments = new Map<string, { first: Float32Array; second: Float32Array; step: number }>();

  constructor({ betas = [0.9, 0.999], eps = 1e-8, weightDecay = 0.01 }: AdamWOptions = {}) {
    this.#betas = betas;
    this.#eps = eps;
    this.#weightDecay = weightDecay;
  }

  /** Moves one parameter against its gradient, in place. `name` tells parameters apart between steps. */
  update(name: string, value: Float32Array, gradient: Float32Array, lr: number): void {
    let moments = this.#moments.get(name);
    if (!moments) {
      moments = { first: new Float32Array(value.length), second: new Float32Array(value.length), step: 0 };
      this.#moments.set(name, moments);
    }
    const { first, second } = moments;
    const [beta1, beta2] = this.#betas;
    const step = ++moments.step;
    const size = lr / (1 - beta1 ** step);
    const correction = Math.sqrt(1 - beta2 ** step);
    const keep = 1 - lr * this.#weightDecay;
    for (let i = 0; i < value.length; i++) {
      const g = gradient[i]!;
      const m = (first[i] = beta1 * first[i]! + (1 - beta1) * g);
      const v = (second[i] = beta2 * second[i]! + (1 - beta2) * g * g);
      value[i] = keep * value[i]! - (size * m) / (Math.sqrt(v) / correction + this.#eps);
    }
  }
}
