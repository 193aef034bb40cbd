/** @file HRA: a chain of trained Householder reflections of a layer's inputs. */

import type { Tuner } from '@onnx-lora/sdk/plugin';
import type { GraphBuilder, Value } from '@onnx-lora/sdk/tasks';
import { identity, inverse, refusedGroups, table, transposed, withRotatedInputs } from './rotation.ts';
import { peftModules, trainsWith, whole } from '../settings.ts';
import { sizeOf, uniform } from '../tensors.ts';

const training = { bias: 'none' };

export const hra: Tuner = {
  name: 'hra',
  peftType: 'HRA',
  paper: 'https://arxiv.org/abs/2405.17484',
  description: 'HRA: reflects the inputs of a layer by a chain of Householder reflections',
  kinds: ['linear', 'conv2d'],
  defaults: { r: 8, apply_GS: false, init_weights: true, ...training, ...peftModules },
  refuses: (layer) =>
    layer.weightShape[2] === layer.weightShape[3]
      ? refusedGroups(layer)
      : 'is a convolution with filters that are not square, which PEFT cannot reflect',
  tune: (layer, settings) => {
    const { apply_GS: isOrthogonal, init_weights: isIdle } = settings;
    const rank = whole(settings, 'r');
    const features = sizeOf(layer.weightShape) / layer.out;
    const drawn = uniform([features, rank], 1 / Math.sqrt(rank));
    // Equal pairs of reflections cancel. Orthogonalised vectors cannot be equal.
    const isPaired = isIdle === true && rank % 2 === 0 && isOrthogonal !== true;
    const half = uniform([features, rank / 2], 1 / Math.sqrt(rank / 2));
    /** Unit vectors U as columns and T with H₁·H₂ ⋯ = I − U·T·Uᵀ, the compact form of a product of reflections. */
    const factors = (g: GraphBuilder, u: Value): readonly [U: Value, T: Value] => {
      // Zeros reflect nothing.
      const U = g.Div(u, g.Max(g.ReduceL2(u, [0], true), 1e-12));
      const products = g.MatMul(transposed(g, U), U);
      const upper = g.constant(table(rank, rank, (row, column) => Number(row < column)));
      const off = isOrthogonal === true ? g.Add(upper, transposed(g, upper)) : upper;
      const inverted = g.Add(g.Mul(products, off), g.Mul(identity(g, rank), 0.5));
      const half = isOrthogonal === true ? g.Mul(g.Add(inverted, g.Mul(identity(g, rank), 0.5)), 0.5) : inverted;
      return [U, g.Reshape(inverse(g, g.Reshape(half, [1, rank, rank]), rank), [rank, rank])];
    };
    const reflected = (g: GraphBuilder, rows: Value, u: Value, isBack: boolean): Value => {
      const [U, T] = factors(g, u);
      const middle = g.MatMul(g.MatMul(rows, U), isBack ? transposed(g, T) : T);
      return g.Sub(rows, g.MatMul(middle, transposed(g, U)));
    };
    return {
      tensors: {
        hra_u: isPaired ? { ...drawn, init: (...given) => twice(half.init(...given) as Float32Array) } : drawn,
      },
      ...withRotatedInputs(layer, {
        inputs: (g, rows, { hra_u: u }) => reflected(g, rows, u!, true),
        weight: (g, rows, { hra_u: u }) => reflected(g, rows, u!, false),
        back: (g, rows, { hra_u: u }) => reflected(g, rows, u!, true),
      }),
    };
  },
  ...trainsWith('hra', training),
};

function twice(numbers: Float32Array): Float32Array {
  return Float32Array.from({ length: 2 * numbers.length }, (_, i) => numbers[i >> 1]!);
}
