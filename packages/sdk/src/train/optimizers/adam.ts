/** @file Adam and AdamW, as torch computes them. */

import { slices } from '../slices.ts';
import type { Optimizer } from './optimizer.ts';
import { fractions, notNegative, oneOf, settingsOf, zeros } from './settings.ts';

/** Settings of Adam and AdamW; the defaults are torch's. */
export interface AdamOptions {
  /** Which of the two: they differ in weight decay. */
  readonly name: 'adamw' | 'adam';
  /** Decay rates of the first and second moments; 0.9 and 0.999 by default. */
  readonly betas?: readonly [number, number];
  /** Added to the root of the second moment; 1e-8 by default. */
  readonly eps?: number;
  /** AdamW multiplies weights by `1 − lr·weightDecay` (0.01); Adam adds `weightDecay` · weights to the gradient (0). */
  readonly weightDecay?: number;
  /** Whether to divide by the largest second moment so far; false by default. */
  readonly amsgrad?: boolean;
}

type Slot = 'exp_avg' | 'exp_avg_sq' | 'max_exp_avg_sq';

/** Adam and AdamW (arXiv 1412.6980, 1711.05101), as torch's. @throws OnnxLoraError `CONFIG_INVALID` */
export function adam(name: AdamOptions['name'], given: Readonly<Record<string, unknown>>): Optimizer<Slot> {
  const { betas, eps, weightDecay, amsgrad } = settingsOf<AdamOptions>(name, given, {
    betas: fractions(0.9, 0.999),
    eps: notNegative(1e-8),
    weightDecay: notNegative(name === 'adamw' ? 0.01 : 0),
    amsgrad: oneOf(false, true),
  });
  const [beta1, beta2] = betas;
  return {
    name,
    weightDecay,
    init: (dims) => ({
      exp_avg: zeros(dims),
      exp_avg_sq: zeros(dims),
      max_exp_avg_sq: zeros(amsgrad ? dims : [0]),
    }),
    update: (value, gradient, { step, arrays }, { lr, weightDecay: decay }) => {
      const { exp_avg, exp_avg_sq, max_exp_avg_sq } = arrays;
      const isDecoupled = name === 'adamw';
      const numbers: StepNumbers = {
        beta1,
        beta2,
        eps,
        size: lr / (1 - beta1 ** step),
        correction: 1 / Math.sqrt(1 - beta2 ** step),
        keep: isDecoupled ? 1 - lr * decay : 1,
        l2: isDecoupled ? 0 : decay,
      };
      return slices(value.length, (from, to) => {
        if (amsgrad) moveByLargest(value, gradient, exp_avg, exp_avg_sq, max_exp_avg_sq, numbers, from, to);
        else move(value, gradient, exp_avg, exp_avg_sq, numbers, from, to);
      });
    },
  };
}

interface StepNumbers {
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
  /** Learning rate divided by the first moment's bias correction. */
  readonly size: number;
  /** Inverse root of the second moment's bias correction. */
  readonly correction: number;
  /** Factor of decoupled decay. */
  readonly keep: number;
  /** Weight decay added to the gradient. */
  readonly l2: number;
}

// Two loops instead of a branch inside: the plain one is most of a step's cost outside the graph.

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
