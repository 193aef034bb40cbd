/** @file Activation functions by their published config names. */

import { float } from '@onnx-lora/sdk/plugin';
import type { Value, GraphBuilder } from '@onnx-lora/sdk/tasks';

/** Emits an elementwise function. */
export type Activation = (g: GraphBuilder, x: Value) => Value;

/** `x · Φ(x)` in torch's order of operations. */
export const gelu: Activation = (g, x) => g.Mul(g.Mul(x, g.Add(g.Erf(g.Div(x, Math.SQRT2)), 1)), 0.5);

/** Tanh approximation: Hendrycks and Gimpel 2016. */
const geluTanh: Activation = (g, x) => {
  const cubed = g.Mul(g.Mul(g.Mul(x, x), x), 0.044715);
  return g.Mul(g.Mul(x, 0.5), g.Add(g.Tanh(g.Mul(g.Add(x, cubed), Math.sqrt(2 / Math.PI))), 1));
};

/** `x · σ(x)`. */
export const silu: Activation = (g, x) => g.Mul(x, g.Sigmoid(x));

const named: Readonly<Record<string, Activation>> = {
  gelu,
  gelu_python: gelu,
  gelu_new: geluTanh,
  gelu_pytorch_tanh: geluTanh,
  gelu_fast: geluTanh,
  gelu_python_tanh: geluTanh,
  gelu_accurate: geluTanh,
  gelu_10: (g, x) => g.Max(g.Min(gelu(g, x), 10), -10),
  quick_gelu: (g, x) => g.Mul(x, g.Sigmoid(g.Mul(x, 1.702))),
  silu,
  swish: silu,
  relu: (g, x) => g.Relu(x),
  relu2: (g, x) => square(g, g.Relu(x)),
  relu6: (g, x) => g.Min(g.Relu(x), 6),
  leaky_relu: (g, x) => g.emit('LeakyRelu', [x], { alpha: float(0.01) }),
  tanh: (g, x) => g.Tanh(x),
  sigmoid: (g, x) => g.Sigmoid(x),
  sqrtsoftplus: (g, x) => g.Sqrt(g.Softplus(x)),
  hardswish: (g, x) => g.Mul(x, g.Div(g.Max(g.Min(g.Add(x, 3), 6), 0), 6)),
  // Ma et al. 2022, "Mega: moving average equipped gated attention".
  laplace: (g, x) => g.Mul(g.Add(g.Erf(g.Div(g.Sub(x, 0.707107), 0.282095 * Math.SQRT2)), 1), 0.5),
  mish: (g, x) => g.Mul(x, g.Tanh(g.Softplus(x))),
  linear: (_, x) => x,
};

function square(g: GraphBuilder, x: Value): Value {
  return g.Mul(x, x);
}

/** Names that {@link activationNamed} accepts. */
export const activationNames: readonly string[] = Object.keys(named);

/** The activation of a name, if known. */
export function activationNamed(name: string): Activation | undefined {
  return Object.hasOwn(named, name) ? named[name] : undefined;
}
