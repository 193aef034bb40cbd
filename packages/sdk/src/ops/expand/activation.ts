/** @file Activations that fused products and convolutions apply to their result, by name. */

import type { Value } from '../../graph/builder.ts';
import { float } from '../../graph/attributes.ts';
import type { ExpansionSite } from './site.ts';

/** The parameters of an activation; what it means by them is its operator's affair. Absent ones have its defaults. */
export interface ActivationParameters {
  readonly alpha?: number | undefined;
  readonly beta?: number | undefined;
  readonly gamma?: number | undefined;
}

type Activation = (site: ExpansionSite, x: Value, parameters: ActivationParameters) => Value;

const plain =
  (op: string): Activation =>
  ({ g }, x) =>
    g.emit(op, [x]);

/** An operator whose attributes are some of alpha, beta and gamma. */
const parametric =
  (op: string, names: readonly (keyof ActivationParameters)[]): Activation =>
  ({ g }, x, parameters) =>
    g.emit(
      op,
      [x],
      Object.fromEntries(
        names.map((name) => [name, parameters[name] === undefined ? undefined : float(parameters[name])]),
      ),
    );

const activations: Readonly<Record<string, Activation>> = {
  Relu: plain('Relu'),
  Tanh: plain('Tanh'),
  Sigmoid: plain('Sigmoid'),
  Softplus: plain('Softplus'),
  Softsign: plain('Softsign'),
  LeakyRelu: parametric('LeakyRelu', ['alpha']),
  Elu: parametric('Elu', ['alpha']),
  Selu: parametric('Selu', ['alpha', 'gamma']),
  ThresholdedRelu: parametric('ThresholdedRelu', ['alpha']),
  HardSigmoid: parametric('HardSigmoid', ['alpha', 'beta']),
  HardSwish: ({ g }, x) => g.Mul(x, g.emit('HardSigmoid', [x], { alpha: float(1 / 6), beta: float(0.5) })),
  Clip: (site, x, { alpha, beta }) =>
    site.g.emit('Clip', [
      x,
      alpha === undefined ? undefined : site.scalar(alpha),
      beta === undefined ? undefined : site.scalar(beta),
    ]),
};

/**
 * Emits the activation called `name`, with Clip's bounds as alpha and beta; x itself for an empty name.
 *
 * @returns undefined for an unknown name
 */
export function activate(
  site: ExpansionSite,
  name: string,
  x: Value,
  parameters: ActivationParameters,
): Value | undefined {
  if (name === '') return x;
  return Object.hasOwn(activations, name) ? activations[name]!(site, x, parameters) : undefined;
}
