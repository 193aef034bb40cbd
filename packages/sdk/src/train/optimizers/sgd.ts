/** @file Stochastic gradient descent with momentum, as torch computes it. */

import { OnnxLoraError } from '../../errors.ts';
import { slices } from '../slices.ts';
import type { Optimizer } from './optimizer.ts';
import { notNegative, oneOf, settingsOf, zeros } from './settings.ts';

/** Settings of SGD; the defaults are torch's. */
export interface SgdOptions {
  readonly name: 'sgd';
  /** Share of the previous update that is repeated; 0 by default. */
  readonly momentum?: number;
  /** Share of a gradient left out of the momentum from the second step on; 0 by default. */
  readonly dampening?: number;
  /** Whether to use Nesterov momentum; false by default. */
  readonly nesterov?: boolean;
  /** Share of the weights added to the gradient; 0 by default. */
  readonly weightDecay?: number;
}

/**
 * SGD with momentum, as torch.optim.SGD.
 * @throws OnnxLoraError `CONFIG_INVALID` for a number out of range, or `nesterov` without plain momentum
 */
export function sgd(given: Readonly<Record<string, unknown>>): Optimizer<'momentum_buffer'> {
  const { momentum, dampening, nesterov, weightDecay } = settingsOf<SgdOptions>('sgd', given, {
    momentum: notNegative(0),
    dampening: notNegative(0),
    nesterov: oneOf(false, true),
    weightDecay: notNegative(0),
  });
  if (nesterov && (momentum === 0 || dampening !== 0)) {
    throw new OnnxLoraError('CONFIG_INVALID', 'nesterov needs a momentum above 0 and a dampening of 0.');
  }
  return {
    name: 'sgd',
    weightDecay,
    init: (dims) => ({ momentum_buffer: zeros(momentum === 0 ? [0] : dims) }),
    update: (value, gradient, { step, arrays: { momentum_buffer: buffer } }, { lr, weightDecay: decay }) => {
      // The first buffer is the gradient itself, dampened or not.
      const share = step === 1 ? 1 : 1 - dampening;
      return slices(value.length, (from, to) => {
        if (momentum === 0) descend(value, gradient, lr, decay, from, to);
        else descendWithMomentum(value, gradient, buffer, lr, decay, momentum, share, nesterov, from, to);
      });
    },
  };
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
