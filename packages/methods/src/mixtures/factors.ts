/** @file The factors of a LoRA per module, and its main direction. */

import { type Adapter, combineAdapters, OnnxLoraError } from '@onnx-lora/sdk';
import { matrix, type Matrix, floats, matmul, scalingOf } from '@onnx-lora/sdk/plugin';

/** LoRA's factors of a linear layer: A `[r, in]`, B `[out, r]`. */
export interface ModuleFactors {
  readonly A: Matrix;
  readonly B: Matrix;
  readonly scaling: number;
}

/**
 * The factors per module. @param name the adapter's name in errors
 * @throws OnnxLoraError `INPUT_INVALID` for anything but a LoRA of linear layers
 */
export function factorsOf(adapter: Adapter, name: string): Map<string, ModuleFactors> {
  // Mixing needs what combining needs, and fails with the same errors.
  combineAdapters([{ adapter, name }], { method: 'cat' });
  const found = new Map<string, { A?: Matrix; B?: Matrix }>();
  for (const [key, tensor] of adapter.tensors) {
    const { dims } = tensor;
    const [, module = '', factor] = /^(?:base_model\.model\.)?(.+)\.lora_([AB])\.weight$/.exec(key) ?? [];
    if (factor === undefined || dims.length !== 2) {
      throw new OnnxLoraError(
        'INPUT_INVALID',
        `The adapter "${name}" has "${key}", and only LoRAs of linear layers can be mixed. Train it without (targetModules, modulesToSave).`,
      );
    }
    found.set(module, { ...found.get(module), [factor]: matrix(dims[0]!, dims[1]!, floats(tensor)) });
  }
  return new Map([...found].map(([module, { A, B }]) => [module, { A: A!, B: B!, scaling: scalingOf(adapter.config, module).scaling }])); // prettier-ignore
}

/** Power iterations; each shrinks the other directions by the squared ratio of singular values. */
const ROUNDS = 200;

/** The right singular vector of B·A for its largest singular value, `[in]`: the input direction it changes most. */
export function mainDirection({ A, B }: Pick<ModuleFactors, 'A' | 'B'>): Float64Array {
  // v = Aᵀw; w is an eigenvector of the small BᵀB·AAᵀ.
  const small = matmul(matmul(B, B, { transposeA: true }), matmul(A, A, { transposeB: true }));
  let w = matrix(
    A.rows,
    1,
    Float64Array.from({ length: A.rows }, (_, i) => 1 + i / A.rows),
  );
  for (let round = 0; round < ROUNDS; round++) w = unit(matmul(small, w));
  return unit(matmul(A, w, { transposeA: true })).data;
}

function unit(column: Matrix): Matrix {
  const length = Math.hypot(...column.data);
  return length === 0 ? column : { ...column, data: column.data.map((value) => (1 / length) * value) };
}
