/** @file KaSA: replaces the weight's smallest singular components by a trained SVD. */

import { Random } from '@onnx-lora/sdk/data';
import {
  matrix,
  scaleColumns,
  trailingSvd,
  transpose,
  type TargetLayer,
  type TensorSpec,
  type Tuner,
} from '@onnx-lora/sdk/plugin';
import { fromIdentity } from '../fragments.ts';
import { loraFactors, rankOf, variantOfLora } from './lora.ts';
import { wrong } from '../settings.ts';
import { normal, zeros } from '../tensors.ts';

export const kasa: Tuner = {
  name: 'kasa',
  ...variantOfLora('kasa_config', { beta: 1e-4, gamma: 1e-3 }),
  paper: 'https://arxiv.org/abs/2412.06071',
  description: "KaSA: LoRA with singular values of its own, in place of the weight's smallest",
  tune: (layer, settings, _, saved) => {
    const { r, scaling, dropout } = rankOf(layer, settings, saved === undefined);
    const values = Math.min(layer.in, layer.out);
    if (r >= values) throw wrong(settings, 'r', `below the ${values} singular values of "${layer.path}"`);
    return {
      dropout,
      tensors: {
        ...loraFactors(r, layer.in, layer.out),
        lora_diag: normal([r], 1),
        ...smallest(layer, r),
      },
      // The dropped components are the base weight's; a merged weight no longer reveals them.
      readsWeight: true,
      factors: (g, { 'lora_A.weight': A, 'lora_B.weight': B, lora_diag: d, dropped_A, dropped_B }) => ({
        A: g.Concat([A!, dropped_A!], 0),
        B: g.Concat([g.Mul(B!, g.Mul(g.Unsqueeze(d!, [0]), scaling)), g.Neg(dropped_B!)], 1),
      }),
    };
  },
  training: ({ kasa_config: given }) => {
    const { beta = 1e-4, gamma = 1e-3 } = given as { readonly beta?: number; readonly gamma?: number };
    return {
      loss: (g, modules) =>
        modules
          .map(({ tensors: { 'lora_A.weight': A, 'lora_B.weight': B, lora_diag: d } }) => {
            const far = g.Add(
              fromIdentity(g, g.MatMul(A!, g.Transpose(A!, [1, 0]))),
              fromIdentity(g, g.MatMul(g.Transpose(B!, [1, 0]), B!)),
            );
            return g.Add(g.Mul(g.ReduceSumSquare(d!, [0], false), beta), g.Mul(far, gamma));
          })
          .reduce((one, other) => g.Add(one, other)),
    };
  },
};

/** The r smallest singular components of the weight: U·S `[out, r]` and Vᵀ `[r, in]`. */
function smallest(layer: TargetLayer, r: number): Record<'dropped_A' | 'dropped_B', TensorSpec> {
  let known: { readonly A: Float32Array; readonly B: Float32Array } | undefined;
  const components = (): { readonly A: Float32Array; readonly B: Float32Array } => {
    if (known) return known;
    // The seed of the search does not change the result.
    const { U, S, V } = trailingSvd(matrix(layer.out, layer.in, layer.weight()), r, new Random(0));
    return (known = {
      A: Float32Array.from(transpose(V).data),
      B: Float32Array.from(scaleColumns(U, S).data),
    });
  };
  return {
    dropped_A: { ...zeros([r, layer.in]), role: 'seeded', init: () => components().A },
    dropped_B: { ...zeros([layer.out, r]), role: 'seeded', init: () => components().B },
  };
}
