/** @file The factors of a LoRA by module, and the direction in which it acts most. */

import { type Adapter, combineAdapters, OnnxLoraError } from '@onnx-lora/sdk';
import { matrix, type Matrix, floats, matmul, scalingOf } from '@onnx-lora/sdk/plugin';

/** What a LoRA has of a linear layer. */
export interface ModuleFactors {
  /** `[r, in]` */
  readonly A: Matrix;
  /** `[out, r]` */
  readonly B: Matrix;
  /** What B·A is multiplied by. */
  readonly scaling: number;
}

/**
 * The factors of each module.
 *
 * @param name how errors call the adapter
 * @throws OnnxLoraError `INPUT_INVALID` for what is no LoRA of linear layers alone
 */
export function factorsOf(adapter: Adapter, name: string): Map<string, ModuleFactors> {
  // What cannot be combined cannot be mixed, for the same reasons.
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

/** A matrix with all numbers so many times as large. */
function times({ rows, columns, data }: Matrix, factor: number): Matrix {
  return { rows, columns, data: data.map((value) => factor * value) };
}

/** How often the direction is improved: each time the others lose the square of their ratio to the largest singular value. */
const ROUNDS = 200;

/** The right singular vector of B·A to its largest singular value, `[in]`: the direction of inputs that it changes most. */
export function mainDirection({ A, B }: Pick<ModuleFactors, 'A' | 'B'>): Float64Array {
  // v = Aᵀw, where w is an eigenvector of BᵀB·AAᵀ, which is small.
  const small = matmul(matmul(B, B, { transposeA: true }), matmul(A, A, { transposeB: true }));
  let w = matrix(
    A.rows,
    1,
    Float64Array.from({ length: A.rows }, (_, i) => 1 + i / A.rows),
  );
  for (let round = 0; round < ROUNDS; round++) w = unit(matmul(small, w));
  return unit(matmul(A, w, { transposeA: true })).data;
}

/** A column of length 1; itself where it is zero. */
function unit(column: Matrix): Matrix {
  const length = Math.hypot(...column.data);
  return length === 0 ? column : times(column, 1 / length);
}
