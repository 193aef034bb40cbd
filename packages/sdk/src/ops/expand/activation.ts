/** @file Activations of fused products and convolutions, by name, and Gelu variants, Mish, Swish and BiasAdd. */

import type { GraphBuilder, Value } from '../../graph/builder.ts';
import { type Attributes, float } from '../../graph/attributes.ts';
import { type ExpansionSite, rankOf, type Rule, staticDim } from './site.ts';

/** Parameters of an activation; the operator defines their meaning and defaults. */
type ActivationParameters = Readonly<Partial<Record<'alpha' | 'beta' | 'gamma', number | undefined>>>;

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

/** `½x·(1 + erf(x/√2))`. */
function geluErf(site: ExpansionSite, x: Value): Value {
  const { g } = site;
  const cdf = g.Add(g.Erf(g.Div(x, site.scalar(Math.SQRT2))), site.scalar(1));
  return g.Mul(g.Mul(x, site.scalar(0.5)), cdf);
}

/** `½x·(1 + tanh(√(2/π)·(x + 0.044715·x³)))`. */
export function geluTanh(site: ExpansionSite, x: Value): Value {
  const { g } = site;
  const linear = Math.sqrt(2 / Math.PI);
  const slope = g.Add(g.Mul(g.Mul(x, x), site.scalar(linear * 0.044715)), site.scalar(linear));
  return g.Mul(g.Mul(x, site.scalar(0.5)), g.Add(g.Tanh(g.Mul(x, slope)), site.scalar(1)));
}

/** Gelu of both domains; `approximate` is `none` or `tanh`. */
export const gelu: Rule = (site) => {
  const [x] = site.inputs;
  const approximate = site.of('approximate');
  if (!x || !['none', 'tanh'].includes(approximate)) return undefined;
  return approximate === 'tanh' ? geluTanh(site, x) : geluErf(site, x);
};

/** Gelu of `A + B`. */
export const biasGelu: Rule = (site) => {
  const [x, bias] = site.inputs;
  return x && bias && geluErf(site, site.g.Add(x, bias));
};

/** Tanh approximation of Gelu of `X + bias`, the bias optional. */
export const fastGelu: Rule = (site) => {
  const [x, bias] = site.inputs;
  return x && geluTanh(site, bias ? site.g.Add(x, bias) : x);
};

/** `x·σ(alpha·x)`: Swish and QuickGelu. */
export const swish: Rule = (site) => {
  const [x] = site.inputs;
  const alpha = site.of('alpha');
  return x && site.g.Mul(x, site.g.Sigmoid(alpha === 1 ? x : site.g.Mul(x, site.scalar(alpha))));
};

/** `x·tanh(ln(1 + eˣ))`. */
export const mish: Rule = ({ g, inputs: [x] }) => x && g.Mul(x, g.Tanh(g.Softplus(x)));

/** `X + bias + skip`, X `[batch, positions, channels]`. */
export const biasAdd: Rule = ({ g, inputs: [x, bias, skip] }) => x && bias && skip && g.Add(g.Add(x, bias), skip);

/** `a·gelu(b)` with `[a, b] = X + bias` halved along the last axis, whose size must be known. */
export const biasSplitGelu: Rule = (site) => {
  const [x, bias] = site.inputs;
  const width = staticDim(x, -1) ?? staticDim(bias, 0);
  const rank = rankOf(x);
  if (!x || !bias || width === undefined || rank === undefined || width % 2 !== 0) return undefined;
  const [left, gate] = site.g.Split(site.g.Add(x, bias), [width / 2, width / 2], rank - 1);
  return site.g.Mul(left!, geluErf(site, gate!));
};
