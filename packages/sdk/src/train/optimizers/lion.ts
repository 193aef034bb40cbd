/** @file Lion: steps of constant size in the direction of the sign of an averaged gradient. */

import { slices } from '../slices.ts';
import type { Optimizer } from './optimizer.ts';
import { fractions, notNegative, settingsOf, zeros } from './settings.ts';

/** Settings of Lion; the defaults are the paper's. */
export interface LionOptions {
  readonly name: 'lion';
  /** Share of the mean in the direction, and decay rate of the mean; 0.9 and 0.99 by default. */
  readonly betas?: readonly [number, number];
  /** Decoupled: a step first multiplies the weights by `1 − lr·weightDecay`; 0 by default. */
  readonly weightDecay?: number;
}

/**
 * Lion (arXiv 2302.06675, algorithm 2), for a rate 3 to 10 times lower than AdamW's, and a higher decay. @throws
 * OnnxLoraError `CONFIG_INVALID` for a number out of range
 */
export function lion(given: Readonly<Record<string, unknown>>): Optimizer<'exp_avg'> {
  const rules = { betas: fractions(0.9, 0.99), weightDecay: notNegative(0) };
  const { betas: [beta1, beta2], weightDecay } = settingsOf<LionOptions>('lion', given, rules); // prettier-ignore
  return {
    name: 'lion',
    weightDecay,
    init: (dims) => ({ exp_avg: zeros(dims) }),
    update: (value, gradient, { arrays: { exp_avg } }, { lr, weightDecay: decay }) =>
      slices(value.length, (from, to) => {
        move(value, gradient, exp_avg, beta1, beta2, lr, 1 - lr * decay, from, to);
      }),
  };
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
    // The sign by division: Math.sign takes four times as long, and a float32 is 0 or far above 1e-300.
    value[i] = keep * value[i]! - lr * (direction / (Math.abs(direction) + 1e-300));
    mean[i] = beta2 * m + (1 - beta2) * g;
  }
}
