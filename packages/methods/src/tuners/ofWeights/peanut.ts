/** @file PEANuT: the change of a weight is what a small network makes of the weight itself. */

import type { TunedTensor, Tuner } from '@onnx-lora/sdk/plugin';
import type { GraphBuilder, Value } from '@onnx-lora/sdk/tasks';
import { finite, oneOf, peftModules, whole, wrong } from '../settings.ts';
import { uniform, zeros } from '../tensors.ts';

const activations: Readonly<Record<string, (g: GraphBuilder, x: Value) => Value>> = {
  relu: (g, x) => g.Relu(x),
  silu: (g, x) => g.Mul(x, g.Sigmoid(x)),
  tanh: (g, x) => g.Tanh(x),
  sigmoid: (g, x) => g.Sigmoid(x),
  linear: (g, x) => g.Identity(x),
};

/** How deep the network may be. */
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
    const drawn = (rows: number, columns: number): TunedTensor => uniform([rows, columns], 1 / Math.sqrt(columns));
    const layers = Array.from({ length: depth }, (_, i) => i);
    const inner = (which: string): Record<string, TunedTensor> =>
      Object.fromEntries(layers.map((i) => [`peanut_${which}.${i}.weight`, drawn(r, r)]));
    return {
      readsWeight: true,
      tensors: {
        'peanut_A.weight': drawn(r, out!),
        ...inner('encoders'),
        ...inner('decoders'),
        'peanut_B.weight': isIdle ? zeros([out!, r]) : drawn(out!, r),
      },
      // PEFT multiplies Wᵀ from the right; all is transposed here.
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
