/** @file A change of the weight that is a product B·A: cheap beside the layer, and taken into the weight and out again. */

import type { Tensor } from '@onnx-lora/sdk';
import type { GraphBuilder, Value } from '@onnx-lora/sdk/tasks';
import type { ByTensor, ChangeOfLayer, LoraFactors } from '@onnx-lora/sdk/plugin';
import { at, made } from './tensors.ts';

/** Emits A `[k, in]` and B `[out, k]`, with all scaling in them. */
export type EmitFactors = (g: GraphBuilder, tensors: ByTensor<Value>) => { readonly A: Value; readonly B: Value };

/** Of a linear layer: forward(x) + (x·Aᵀ)·Bᵀ, without the product B·A; that is for merging. */
export function lowRankChange(factors: EmitFactors): ChangeOfLayer {
  const merged = (op: 'Add' | 'Sub'): Required<Pick<ChangeOfLayer, 'weight'>> => ({
    weight: (g, weight, tensors) => {
      const { A, B } = factors(g, tensors);
      return g[op](weight, g.MatMul(B, A));
    },
  });
  return {
    apply: (g, { x, forward }, tensors) => {
      const { A, B } = factors(g, tensors);
      return g.Add(forward(x), g.MatMul(g.MatMul(x, g.Transpose(A, [1, 0])), g.Transpose(B, [1, 0])));
    },
    ...merged('Add'),
    unmerged: merged('Sub'),
  };
}

/** Some of the directions of A `[k, in]` and B `[out, k]`, each times a factor; one at least, so that there is a rank. */
export function someDirections(A: Tensor, B: Tensor, factors: readonly number[]): LoraFactors {
  const [k, width, height] = [A.dims[0]!, A.dims[1]!, B.dims[0]!];
  const kept = factors.flatMap((factor, i) => (factor === 0 ? [] : [i]));
  const all = kept.length > 0 ? kept : [0];
  return {
    A: made(all.length, width, (row, i) => at(A, all[row]! * width + i)),
    B: made(height, all.length, (row, i) => factors[all[i]!]! * at(B, row * k + all[i]!)),
  };
}
