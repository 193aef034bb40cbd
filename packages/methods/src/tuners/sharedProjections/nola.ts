/** @file NOLA: both LoRA factors are trained combinations of seeded random matrices. */

import { TorchRandom, type TensorSpec, type Tuner } from '@onnx-lora/sdk/plugin';
import type { GraphBuilder, Value } from '@onnx-lora/sdk/tasks';
import { dropoutOf, finite, whole } from '../settings.ts';
import { sizeOf, zeros } from '../tensors.ts';

export const nola: Tuner = {
  name: 'nola',
  peftType: 'NOLA',
  paper: 'https://arxiv.org/abs/2310.02556',
  description:
    'NOLA: trains how much of each of some random matrices, which a seed gives again, the factors of LoRA have',
  defaults: { r: 4, alpha: 4, bases: 256, seed: 0, dropout: 0 },
  tune: ({ in: inputs, out }, settings) => {
    const [r, bases, seed] = [whole(settings, 'r'), whole(settings, 'bases'), whole(settings, 'seed', 0)];
    const scaling = finite(settings, 'alpha') / r;
    // Shared by layers of one shape. The authors draw them per layer, which would need gigabytes for all layers at
    // once.
    const random = (dims: readonly number[], bound: number, own: number): TensorSpec => ({
      ...zeros(dims),
      role: 'seeded',
      share: 'shape',
      init: () => new TorchRandom(seed + own).uniform(sizeOf(dims), -bound, bound),
    });
    return {
      tensors: {
        nola_A: random([r, inputs], 1 / Math.sqrt(inputs), 0),
        nola_bases_A: random([bases, r, inputs], 1, 1),
        nola_bases_B: random([bases, out, r], 1, 2),
        nola_alpha: zeros([bases]),
        nola_beta: zeros([bases]),
      },
      linearIn: ['nola_beta'],
      dropout: dropoutOf(settings, 'dropout'),
      factors: (g, { nola_A: A, nola_bases_A: basesA, nola_bases_B: basesB, nola_alpha: alpha, nola_beta: beta }) => ({
        A: g.Add(A!, mixed(g, alpha!, basesA!)),
        B: mixed(g, g.Mul(beta!, scaling), basesB!),
      }),
    };
  },
};

/** Weighted sum of matrices `[bases, rows, columns]`, weights `[bases]`. */
function mixed(g: GraphBuilder, weights: Value, bases: Value): Value {
  const [count, rows, columns] = bases.shape as [number, number, number];
  return g.Reshape(g.MatMul(g.Reshape(weights, [1, count]), g.Reshape(bases, [count, rows * columns])), [
    rows,
    columns,
  ]);
}
