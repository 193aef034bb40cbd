/** @file PEANuT: ΔW is a small network applied to the weight. */

import type { TensorSpec, Tuner } from '@onnx-lora/sdk/plugin';
import type { GraphBuilder, Value } from '@onnx-lora/sdk/tasks';
import { finite, oneOf, peftModules, whole, wrong } from '../settings.ts';
import { uniform, zeros } from '../tensors.ts';

type Activation = (g: GraphBuilder, x: Value) => Value;

const gelu: Activation = (g, x) => g.Mul(g.Mul(x, 0.5), g.Add(g.Erf(g.Mul(x, Math.SQRT1_2)), 1));
const tanhGelu: Activation = (g, x) => {
  const inner = g.Mul(g.Mul(x, Math.sqrt(2 / Math.PI)), g.Add(g.Mul(g.Mul(x, x), 0.044715), 1));
  return g.Mul(g.Mul(x, 0.5), g.Add(g.Tanh(inner), 1));
};
const silu: Activation = (g, x) => g.Mul(x, g.Sigmoid(x));
const softplus: Activation = (g, x) => g.Add(g.Relu(x), g.Log(g.Add(g.Exp(g.Neg(g.Abs(x))), 1)));
const bounded = (g: GraphBuilder, x: Value, most: number): Value => g.Sub(g.Relu(x), g.Relu(g.Sub(x, most)));
const leaky =
  (slope: number): Activation =>
  (g, x) =>
    g.Sub(g.Relu(x), g.Mul(g.Relu(g.Neg(x)), slope));

/** transformers' `ACT2FN`, except `xielu`, whose trained parameters are in no file. */
const activations: Readonly<Record<string, Activation>> = {
  gelu,
  gelu_10: (g, x) => {
    const y = gelu(g, x);
    return g.Sub(y, g.Relu(g.Sub(y, 10)));
  },
  gelu_accurate: tanhGelu,
  gelu_fast: tanhGelu,
  gelu_new: tanhGelu,
  gelu_python: gelu,
  gelu_python_tanh: tanhGelu,
  gelu_pytorch_tanh: tanhGelu,
  hardswish: (g, x) => g.Mul(x, g.Div(bounded(g, g.Add(x, 3), 6), 6)),
  laplace: (g, x) => g.Mul(g.Add(g.Erf(g.Div(g.Sub(x, 0.707107), 0.282095 * Math.SQRT2)), 1), 0.5),
  leaky_relu: leaky(0.01),
  linear: (g, x) => g.Identity(x),
  mish: (g, x) => g.Mul(x, g.Tanh(softplus(g, x))),
  // PEFT constructs it per use, so that its slope stays at the init.
  prelu: leaky(0.25),
  quick_gelu: (g, x) => g.Mul(x, g.Sigmoid(g.Mul(x, 1.702))),
  relu: (g, x) => g.Relu(x),
  relu2: (g, x) => g.Mul(g.Relu(x), g.Relu(x)),
  relu6: (g, x) => bounded(g, x, 6),
  sigmoid: (g, x) => g.Sigmoid(x),
  silu,
  sqrtsoftplus: (g, x) => g.Sqrt(softplus(g, x)),
  swish: silu,
  tanh: (g, x) => g.Tanh(x),
};

const MOST_LAYERS = 64;

export const peanut: Tuner = {
  name: 'peanut',
  peftType: 'PEANUT',
  paper: 'https://arxiv.org/abs/2410.01870',
  description:
    'PEANuT: a small network that makes the change of a weight from the weight, of whose size steps take a product more',
  defaults: { r: 32, depth: 0, act_fn: 'relu', scaling: 1, init_weights: true, ...peftModules },
  tune: ({ weightShape: [out] }, settings) => {
    oneOf('peanut', settings, 'act_fn', Object.keys(activations));
    const { act_fn: name, init_weights: isIdle } = settings as { act_fn: string; init_weights: boolean }; // prettier-ignore
    const [r, depth, scaling] = [whole(settings, 'r'), whole(settings, 'depth', 0), finite(settings, 'scaling')];
    if (depth > MOST_LAYERS) throw wrong(settings, 'depth', `at most ${MOST_LAYERS}`);
    const { [name]: act } = activations;
    const drawn = (rows: number, columns: number): TensorSpec => uniform([rows, columns], 1 / Math.sqrt(columns));
    const layers = Array.from({ length: depth }, (_, i) => i);
    const inner = (which: string): Record<string, TensorSpec> =>
      Object.fromEntries(layers.map((i) => [`peanut_${which}.${i}.weight`, drawn(r, r)]));
    return {
      readsWeight: true,
      tensors: {
        'peanut_A.weight': drawn(r, out!),
        ...inner('encoders'),
        ...inner('decoders'),
        'peanut_B.weight': isIdle ? zeros([out!, r]) : drawn(out!, r),
      },
      // PEFT multiplies Wᵀ from the right; here all is transposed.
      delta: (g, tensors, weight) => {
        const encoded = [act!(g, g.MatMul(tensors['peanut_A.weight']!, weight()))];
        for (const i of layers) encoded.push(act!(g, g.MatMul(tensors[`peanut_encoders.${i}.weight`]!, encoded[i]!)));
        let inside = encoded[depth]!;
        for (const i of layers) {
          const decoded = act!(g, g.MatMul(tensors[`peanut_decoders.${i}.weight`]!, inside));
          inside = g.Add(decoded, encoded[depth - 1 - i]!);
        }
        return g.Mul(g.MatMul(tensors['peanut_B.weight']!, inside), scaling);
      },
    };
  },
};
