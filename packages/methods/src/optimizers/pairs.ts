/** @file Factor pairs of LoRA layers, and the damped inverses that precondition their gradients. */

import {
  type Matrix,
  matmul,
  matrix,
  type OptimizedModule,
  type StepTensor,
  symmetricEigen,
} from '@onnx-lora/sdk/plugin';

/** A linear layer's factors in graph layout: A `[in, r]`, B `[r, out]`. */
export interface Pair {
  readonly module: OptimizedModule<StepTensor>;
  readonly A: StepTensor;
  readonly B: StepTensor;
}

/** The linear LoRA layers. */
export function pairsOf(modules: readonly OptimizedModule<StepTensor>[]): Pair[] {
  return modules.flatMap((module) => {
    const { lora_A: A, lora_B: B } = module.tensors;
    return isPair(module) ? [{ module, A: A!, B: B! }] : [];
  });
}

/** Whether the module is a linear layer with LoRA. */
export function isPair({ kind, tensors }: OptimizedModule<unknown>): boolean {
  return kind === 'linear' && 'lora_A' in tensors && 'lora_B' in tensors;
}

/** Copies a two-dimensional tensor into a matrix. */
export function asMatrix({ dims }: StepTensor, values: Float32Array): Matrix {
  return matrix(dims[0]!, dims[1]!, values);
}

/** MᵀM of a tall matrix, without transposing it. */
export function gramOf({ rows, columns, data }: Matrix): Matrix {
  const gram = matrix(columns, columns);
  const sums = gram.data;
  for (let row = 0; row < rows; row++) {
    const at = row * columns;
    for (let i = 0; i < columns; i++) {
      const x = data[at + i]!;
      for (let j = 0; j <= i; j++) sums[i * columns + j]! += x * data[at + j]!;
    }
  }
  for (let i = 0; i < columns; i++) for (let j = 0; j < i; j++) sums[j * columns + i] = sums[i * columns + j]!;
  return gram;
}

const EPSILON = 2 ** -23;

/** (M + damping·I)⁺ of a positive semidefinite M, with the cutoff of torch.linalg.pinv in float32. */
export function dampedInverse(gram: Matrix, damping: number): Matrix {
  const n = gram.rows;
  const damped = matrix(n, n, gram.data.slice());
  for (let i = 0; i < n; i++) damped.data[i * n + i]! += damping;
  const inverse = inverseOf(damped);
  if (inverse) return inverse;
  const { values, V } = symmetricEigen(damped);
  const least = n * EPSILON * Math.max(0, ...values.map(Math.abs));
  const scaled = matrix(n, n, V.data.slice());
  for (let row = 0; row < n; row++)
    for (let k = 0; k < n; k++) scaled.data[row * n + k]! *= Math.abs(values[k]!) > least ? 1 / values[k]! : 0;
  return matmul(scaled, V, { transposeB: true });
}

/** The inverse by Cholesky decomposition; undefined for an ill-conditioned matrix. */
function inverseOf({ rows: n, data }: Matrix): Matrix | undefined {
  const L = data.slice();
  let [largest, least] = [0, Infinity];
  for (let j = 0; j < n; j++) {
    for (let i = j; i < n; i++) {
      let sum = L[i * n + j]!;
      for (let k = 0; k < j; k++) sum -= L[i * n + k]! * L[j * n + k]!;
      if (i > j) {
        L[i * n + j] = sum / L[j * n + j]!;
        continue;
      }
      largest = Math.max(largest, data[j * n + j]!);
      least = Math.min(least, sum);
      // The smallest pivot bounds the smallest eigenvalue; well above epsilon the inverse is accurate.
      if (!(least > 16 * n * n * EPSILON * largest)) return undefined;
      L[j * n + j] = Math.sqrt(sum);
    }
  }
  const result = matrix(n, n);
  const column = new Float64Array(n);
  for (let c = 0; c < n; c++) {
    for (let i = 0; i < n; i++) {
      let sum = i === c ? 1 : 0;
      for (let k = 0; k < i; k++) sum -= L[i * n + k]! * column[k]!;
      column[i] = sum / L[i * n + i]!;
    }
    for (let i = n - 1; i >= 0; i--) {
      let sum = column[i]!;
      for (let k = i + 1; k < n; k++) sum -= L[k * n + i]! * column[k]!;
      column[i] = sum / L[i * n + i]!;
    }
    for (let i = 0; i < n; i++) result.data[i * n + c] = column[i]!;
  }
  return result;
}
