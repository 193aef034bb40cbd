/** @file Activations of fused products and convolutions, by name. */

import type { GraphBuilder, Value } from '../../graph/builder.ts';
import { type Attributes, float } from '../../graph/attributes.ts';
import type { ExpansionSite } from './site.ts';

/** Parameters of an activation; the operator defines their meaning and defaults. */
export interface ActivationParameters {
  readonly alpha?: number | undefined;
  readonly beta?: number | undefined;
  readonly gamma?: number | undefined;
}

/** `x·max(0, min(1, x/6 + ½))`. */
export function hardSwish(g: GraphBuilder, x: Value): Value {
  return g.Mul(x, g.emit('HardSigmoid', [x], { alpha: float(1 / 6), beta: float(0.5) }));
}

type Activation = (site: ExpansionSite, x: Value, parameters: ActivationParameters) => Value;

/** An operator with some of the attributes alpha, beta and gamma. */
const emitted =
  (op: string, ...names: readonly (keyof ActivationParameters)[]): Activation =>
  ({ g }, x, parameters) => {
    const given = names.flatMap((name) => (parameters[name] === undefined ? [] : [[name, float(parameters[name])]]));
    return g.emit(op, [x], Object.fromEntries(given) as Attributes);
  };

const activations: Readonly<Record<string, Activation>> = {
  Relu: emitted('Relu'),
  Tanh: emitted('Tanh'),
  Sigmoid: emitted('Sigmoid'),
  Softplus: emitted('Softplus'),
  Softsign: emitted('Softsign'),
  LeakyRelu: emitted('LeakyRelu', 'alpha'),
  Elu: emitted('Elu', 'alpha'),
  Selu: emitted('Selu', 'alpha', 'gamma'),
  ThresholdedRelu: emitted('ThresholdedRelu', 'alpha'),
  HardSigmoid: emitted('HardSigmoid', 'alpha', 'beta'),
  HardSwish: ({ g }, x) => hardSwish(g, x),
  Clip: (site, x, { alpha, beta }) => {
    const [low, high] = [alpha, beta].map((bound) => (bound === undefined ? undefined : site.scalar(bound)));
    return site.g.emit('Clip', [x, low, high]);
  },
};

/** Emits an activation (Clip's bounds are alpha and beta), or x for an empty name; undefined for an unknown one. */
export function activate(
  site: ExpansionSite,
  name: string,
  x: Value,
  parameters: ActivationParameters,
): Value | undefined {
  if (name === '') return x;
  return Object.hasOwn(activations, name) ? activations[name]!(site, x, parameters) : undefined;
}
