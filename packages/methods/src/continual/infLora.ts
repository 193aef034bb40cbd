/** @file InfLoRA: trains B alone; A spans input directions that no earlier task needs. */

import { Adapter, float32, type Model, OnnxLoraError, type Tensor, train, type TrainOptions } from '@onnx-lora/sdk';
import {
  addScaled,
  type InputInitializer,
  type Matrix,
  matmul,
  matrix,
  sliceColumns,
  symmetricEigen,
  transpose,
} from '@onnx-lora/sdk/plugin';
import { gramInitializer } from '../composition/inputGrams.ts';
import { oLora } from './tuners.ts';

/** Share of the energy of a task's inputs that its protected directions must hold. */
const THRESHOLD = 0.95;

/**
 * Input directions that the tasks so far need, per module as orthonormal columns `[in, k]`. Inputs are those of the
 * base; the authors measure the model with the adapters so far.
 * @see https://arxiv.org/abs/2404.00228, with the memory of GPM in place of its dual
 */
export class InputSpaces {
  readonly #directions = new Map<string, Matrix>();
  #grams = new Map<string, Matrix>();

  /** Init for the next task: A spans the main input directions outside those that earlier tasks need. */
  initializer(): InputInitializer {
    this.#grams = new Map();
    return gramInitializer({
      name: 'inf-lora',
      refuses: ({ kind, r, width }) =>
        kind !== 'linear' ? 'is not linear, and InfLoRA is for linear layers' : r > width ? `reads ${width} features, and the rank is ${r}` : undefined, // prettier-ignore
      factors: (gram, { path, r, out }) => {
        this.#grams.set(path, gram);
        const A = transpose(largest(this.#left(path, gram), r));
        return { A: { ...A, data: A.data.map((each) => each / Math.sqrt(3)) }, B: matrix(out, r) };
      },
    });
  }

  learned(): void {
    for (const [path, gram] of this.#grams) {
      const all = trace(gram);
      const left = this.#left(path, gram);
      const { values, V } = symmetricEigen(left);
      let held = all - trace(left);
      let count = 0;
      while (held < THRESHOLD * all && count < values.length) held += values[values.length - 1 - count++]!;
      const [known, more] = [this.#directions.get(path), sliceColumns(V, values.length - count, values.length)];
      this.#directions.set(path, known ? beside(known, more) : more);
    }
  }

  /** A task's Gram matrix outside the known directions: (I − ΦΦᵀ)·G·(I − ΦΦᵀ). */
  #left(path: string, gram: Matrix): Matrix {
    const known = this.#directions.get(path);
    if (!known) return gram;
    const once = addScaled(gram, matmul(known, matmul(known, gram, { transposeA: true })), -1);
    return addScaled(once, matmul(matmul(once, known), known, { transposeB: true }), -1);
  }
}

/** The start of the next task: A spans the task's main free input directions, and is frozen. */
export async function nextTaskStart(
  model: Model,
  options: Omit<TrainOptions, 'from'>,
  spaces: InputSpaces,
  before: Adapter | undefined,
): Promise<Adapter> {
  const { r = 8, loraAlpha = 16 } = options.lora ?? {};
  const lora = { ...options.lora, r, loraAlpha, initLoraWeights: spaces.initializer() };
  // One step that goes nowhere: only the init matters.
  const begun = (await (await train(model, { ...options, lora, steps: 1, lr: Number.MIN_VALUE })).done).adapter;
  return staged(begun, before, r, loraAlpha);
}

/** Renames a LoRA's factors to O-LoRA's, next to the frozen ones of earlier tasks. */
function staged(
  { config, tensors, baseDigest, notes }: Adapter,
  before: Adapter | undefined,
  r: number,
  alpha: number,
): Adapter {
  // prettier-ignore
  const own = new Map<string, Tensor>();
  for (const [name, { type, dims, data }] of tensors) {
    const [, place, factor] = /^(.*\.lora_[AB])\.(weight)$/.exec(name) ?? [];
    if (factor === undefined) {
      if (name.includes('.lora_')) throw new OnnxLoraError('MODEL_UNSUPPORTED', `InfLoRA has no place for "${name}". Train linear layers alone.`); // prettier-ignore
      own.set(name, before?.tensors.get(name) ?? { dims, data, type });
      continue;
    }
    const isB = place!.endsWith('B');
    own.set(place!, float32(isB ? new Float32Array(data.length) : (data as Float32Array).slice(), dims));
  }
  for (const [name, tensor] of before?.tensors ?? []) if (/\.old_[AB]$/.test(name)) own.set(name, tensor);
  const settings = { r, lora_alpha: alpha, old_r: before?.config.extra['old_r'] ?? 0, lambda: 0, train_A: false };
  const extra = { ...oLora.defaults, ...settings };
  return new Adapter({ ...config, peftType: oLora.peftType, r: 0, loraAlpha: 0, initLoraWeights: true, extra }, own, baseDigest, notes); // prettier-ignore
}

/** Eigenvectors of the k largest eigenvalues as columns, the largest first. */
function largest(symmetric: Matrix, k: number): Matrix {
  const { V } = symmetricEigen(symmetric);
  return reversed(sliceColumns(V, V.columns - k, V.columns));
}

function reversed({ rows, columns: width, data }: Matrix): Matrix {
  return matrix(rows, width, Float64Array.from(data, (_, i) => data[Math.floor(i / width) * width + width - 1 - (i % width)]!)); // prettier-ignore
}

function beside(one: Matrix, other: Matrix): Matrix {
  const width = one.columns + other.columns;
  const at = (row: number, column: number): number => column < one.columns ? one.data[row * one.columns + column]! : other.data[row * other.columns + column - one.columns]!; // prettier-ignore
  return matrix(one.rows, width, Float64Array.from({ length: one.rows * width }, (_, i) => at(Math.floor(i / width), i % width))); // prettier-ignore
}

function trace({ rows, data }: Matrix): number {
  let sum = 0;
  for (let i = 0; i < rows; i++) sum += data[i * rows + i]!;
  return sum;
}
