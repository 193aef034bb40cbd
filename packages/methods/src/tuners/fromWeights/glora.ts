/** @file GLoRA: scales and shifts a layer's weight and bias, each by a matrix, a vector or a number. */

import type { ByTensor, TensorSpec, Tuner } from '@onnx-lora/sdk/plugin';
import type { GraphBuilder, Value } from '@onnx-lora/sdk/tasks';
import { oneOf, trainsWith, whole } from '../settings.ts';
import { normal, uniform, zeros } from '../tensors.ts';

const training = { bias: 'none' };

export const glora: Tuner = {
  name: 'glora',
  peftType: 'GLORA',
  paper: 'https://arxiv.org/abs/2306.07967',
  description:
    "GLoRA: scales and shifts weight and bias, W + W∘A + B and b + b∘D + E + W·C; steps take a product of the weight's size more",
  defaults: { r: 8, config_A_B: 'lora', config_C: 'lora', config_D_E: 'constant', init_weights: true, ...training },
  tune: (layer, settings) => {
    oneOf('glora', settings, 'config_A_B', ['lora', 'vector', 'constant', 'none']);
    oneOf('glora', settings, 'config_C', ['lora', 'vector', 'none']);
    oneOf('glora', settings, 'config_D_E', ['vector', 'constant', 'none']);
    const { config_A_B: onWeight, config_C: across, config_D_E: onBias, init_weights: isIdle } = settings;
    const rank = whole(settings, 'r');
    const constant = (numbers: Float32Array, dims: readonly number[]): ((g: GraphBuilder) => Value) => (g) => g.constant({ type: 'float32', dims, data: numbers }); // prettier-ignore
    const [height, width] = [layer.out, layer.in];
    const path = (
      name: string,
      kind: unknown,
      dims: readonly [number, number],
      vector: readonly number[],
    ): Record<string, TensorSpec> => {
      const own = (shape: readonly number[]): TensorSpec => isIdle === true ? zeros(shape) : uniform(shape, 1 / Math.sqrt(shape.at(-1)!)); // prettier-ignore
      if (kind === 'lora') return { [`${name}.Xd`]: own([dims[0], rank]), [`${name}.Xu`]: uniform([rank, dims[1]], 1 / Math.sqrt(dims[1])) }; // prettier-ignore
      if (kind === 'vector') return { [`${name}.X`]: own(vector) };
      return kind === 'constant' ? { [`${name}.X`]: isIdle === true ? zeros([1]) : normal([1], 0.02) } : {};
    };
    const value = (g: GraphBuilder, tensors: ByTensor<Value>, name: string): Value => {
      const { [`${name}.Xd`]: down, [`${name}.Xu`]: up, [`${name}.X`]: own } = tensors;
      return down ? g.MatMul(down, up!) : (own ?? g.scalar(0));
    };
    const shift = (g: GraphBuilder, before: Value, weight: Value, tensors: ByTensor<Value>): Value => {
      const own = g.Add(g.Mul(before, value(g, tensors, 'glora_D')), value(g, tensors, 'glora_E'));
      if (across === 'none') return own;
      return g.Add(own, g.Reshape(g.MatMul(weight, value(g, tensors, 'glora_C')), [height]));
    };
    const change = (g: GraphBuilder, weight: Value, tensors: ByTensor<Value>): Value =>
      g.Add(g.Mul(weight, value(g, tensors, 'glora_A')), value(g, tensors, 'glora_B'));
    const own = (g: GraphBuilder): Value => constant(layer.weight(), [height, width])(g);
    const restored = (g: GraphBuilder, weight: Value, tensors: ByTensor<Value>): Value =>
      g.Div(g.Sub(weight, value(g, tensors, 'glora_B')), g.Add(value(g, tensors, 'glora_A'), 1));
    return {
      tensors: {
        ...path('glora_A', onWeight, [height, width], [height, 1]),
        ...path('glora_B', onWeight, [height, width], [height, 1]),
        ...(layer.bias && path('glora_C', across, [width, 1], [width, 1])),
        ...(layer.bias && path('glora_D', onBias, [height, 1], [height])),
        ...(layer.bias && path('glora_E', onBias, [height, 1], [height])),
      },
      apply: (g, { x, forward, weight: read }, tensors) => {
        const weight = read();
        const y = onWeight === 'none' ? forward(x) : g.Add(forward(x), g.MatMul(x, g.Transpose(change(g, weight, tensors), [1, 0]))); // prettier-ignore
        const bias = layer.ownBias();
        return bias ? g.Add(y, shift(g, constant(bias, [height])(g), weight, tensors)) : y;
      },
      weight: (g, weight, tensors) => g.Add(weight, change(g, weight, tensors)),
      bias: (g, before, tensors) => g.Add(before, shift(g, before, own(g), tensors)),
      unmerged: {
        weight: restored,
        // (b − E − W·C) / (1 + D), with the original W.
        bias: (g, merged, tensors) => {
          const nothing = g.Mul(merged, 0);
          const added = shift(g, nothing, restored(g, own(g), tensors), tensors);
          return g.Div(g.Sub(merged, added), g.Add(value(g, tensors, 'glora_D'), 1));
        },
      },
    };
  },
  ...trainsWith('glora', training),
};
