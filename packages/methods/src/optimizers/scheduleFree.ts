/** @file Schedule-free AdamW: saves an average of all steps in place of a decaying rate. */

import { type Optimizer, type OptimizerFactory, optimizerTools } from '@onnx-lora/sdk/plugin';

const { fractions, notNegative, settingsOf, zeros } = optimizerTools;

interface ScheduleFreeSettings {
  readonly betas: readonly [number, number];
  readonly eps: number;
  readonly weightDecay: number;
  readonly r: number;
  readonly weightLrPower: number;
}

/**
 * AdamW without a schedule. Gradients are taken at y, between the steps z and their average x; x is evaluated and
 * saved. The rate must stay: `schedule: 'constant'`, with or without warm-up. Rates are 1 to 10 times AdamW's.
 *
 * Settings: `betas` (0.9, 0.999; the first places y), `eps` (1e-8), `weightDecay` (0), `r` (0: a step's weight is its
 * number to the power `r`), `weightLrPower` (2: times the highest rate so far to this power).
 * @see https://arxiv.org/abs/2405.15682 and AdamWScheduleFree of the authors' schedulefree 1.4.1
 */
export const scheduleFree: OptimizerFactory = {
  name: 'schedule-free-adamw',
  create: (given): Optimizer<'z' | 'exp_avg_sq' | 'weights'> => {
    const settings = settingsOf<ScheduleFreeSettings>('schedule-free-adamw', given, {
      betas: { ...fractions(0.9, 0.999), is: isAboveZero, range: 'two numbers above 0 and below 1' },
      eps: notNegative(1e-8),
      weightDecay: notNegative(0),
      r: notNegative(0),
      weightLrPower: notNegative(2),
    });
    const { betas: [beta1, beta2], eps, r, weightLrPower } = settings; // prettier-ignore
    return {
      name: 'schedule-free-adamw',
      weightDecay: settings.weightDecay,
      // `weights`: the sum of the steps' weights, and the highest rate so far.
      init: (dims) => ({ z: zeros(dims), exp_avg_sq: zeros(dims), weights: zeros([2]) }),
      *update(y, gradient, { step, arrays: { z, exp_avg_sq: second, weights } }, { lr, weightDecay }) {
        if (step === 1) z.set(y);
        const highest = (weights[1] = Math.max(lr, weights[1]!));
        const weight = step ** r * highest ** weightLrPower;
        const sum = (weights[0] = weights[0]! + weight);
        const share = sum === 0 ? 0 : weight / sum;
        const move = lr * (beta1 * (1 - share) - 1);
        const correction = 1 - beta2 ** step;
        for (let i = 0; i < y.length; i++) {
          const g = gradient[i]!;
          const v = (second[i] = beta2 * second[i]! + (1 - beta2) * g * g);
          const direction = g / (Math.sqrt(v / correction) + eps) + weightDecay * y[i]!;
          y[i] = y[i]! + share * (z[i]! - y[i]!) + move * direction;
          z[i] = z[i]! - lr * direction;
          if (i % 0x8000 === 0) yield;
        }
      },
      evaluated: (y, { arrays: { z } }) => y.map((each, i) => each + (1 - 1 / beta1) * (z[i]! - each)),
    };
  },
};

function isAboveZero(value: unknown): boolean {
  return Array.isArray(value) && value.length === 2 && value.every((each) => typeof each === 'number' && each > 0 && each < 1); // prettier-ignore
}
