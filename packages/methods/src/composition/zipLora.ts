/** @file ZipLoRA: merges two LoRAs with a factor per column, to reduce interference. */

import { Adapter, combineAdapters, float32, type Model, OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import { createOptimizer, type Matrix, matmul, matrix, OptimizerMemory } from '@onnx-lora/sdk/plugin';
import type { Task } from '@onnx-lora/sdk/tasks';
import { factorsOf, type ModuleFactors } from '../mixtures/factors.ts';
import { inputGrams, type InputGramsOptions } from './inputGrams.ts';

/** One of the two adapters of {@link zipLora}. */
export interface ZipPart {
  /** A LoRA of linear layers. */
  readonly adapter: Adapter;
  /** The adapter's task: some batches of its training inputs are read, no labels. */
  readonly task: Task;
}

/** Options of {@link zipLora}. */
export interface ZipLoraOptions extends InputGramsOptions {
  /** Factor of |m₁·m₂| ÷ in; 0.01 by default. */
  readonly lambda?: number;
  /** Steps of Adam; 100 by default. */
  readonly steps?: number;
  /** Its learning rate; 0.01 by default. */
  readonly lr?: number;
}

type Pair<T> = readonly [T, T];
type Search = Required<Pick<ZipLoraOptions, 'lambda' | 'steps' | 'lr'>>;

/**
 * Merges two LoRAs of linear layers into a plain one, ΔW = ΔW₁·diag(m₁) + ΔW₂·diag(m₂) in each layer that both adapt.
 * The column factors m begin at 1 and minimise
 *
 * Σᵢ ‖(ΔW − ΔWᵢ)·Xᵢ‖² ÷ ‖ΔWᵢ·Xᵢ‖² + λ·|m₁·m₂| ÷ in
 *
 * with Xᵢ the layer's inputs for adapter i's examples in the base. The ranks add up.
 *
 * Shah et al., "ZipLoRA: Any Subject in Any Style by Effectively Merging LoRAs" (2023), arXiv:2311.13600, which
 * compares outputs of the whole model, layer by layer with the adapters active.
 * @example
 * const both = await zipLora(model, [
 *   { adapter: turned, task: imageClassification('turned') },
 *   { adapter: inverted, task: imageClassification('inverted') },
 * ]);
 * @throws OnnxLoraError `CONFIG_INVALID` for numbers out of range; `INPUT_INVALID` for anything but LoRAs of linear
 *   layers; `ADAPTER_MISMATCH` for adapters of different bases; as `train` for the tasks
 */
export async function zipLora(
  model: Model,
  parts: readonly [ZipPart, ZipPart],
  options: ZipLoraOptions = {},
): Promise<Adapter> {
  const { lambda = 0.01, steps = 100, lr = 0.01, ...reading } = options;
  const wrong = (name: string, what: string, value: number): OnnxLoraError =>
    new OnnxLoraError('CONFIG_INVALID', `${name} of zipLora must be ${what}, but it is ${value}.`);
  if (!(lambda >= 0 && Number.isFinite(lambda))) throw wrong('lambda', 'a number of at least 0', lambda);
  if (!(Number.isSafeInteger(steps) && steps >= 0)) throw wrong('steps', 'a whole number of at least 0', steps);
  if (!(lr > 0 && Number.isFinite(lr))) throw wrong('lr', 'a number above 0', lr);
  const names = ['first', 'second'];
  const sum = (adapters: readonly Adapter[]): Adapter =>
    combineAdapters(adapters.map((adapter, i) => ({ adapter, name: names[i]! })), { method: 'cat' }); // prettier-ignore
  // Fails before anything is computed for adapters that do not fit each other.
  sum(parts.map(({ adapter }) => adapter));
  // Combined alone, an adapter becomes float32 with scaling 1.
  const plain = parts.map(({ adapter }) => sum([adapter]));
  const [ones, others] = plain.map((each, i) => factorsOf(each, names[i]!));
  const common = [...ones!.keys()].filter((module) => others!.has(module));
  if (common.length === 0) return sum(plain);
  const grams: ReadonlyMap<string, Matrix>[] = [];
  for (const { task } of parts) grams.push(await inputGrams(model, task, common, reading));
  const found = new Map(
    common.map((module) => {
      const both = [ones!.get(module)!, others!.get(module)!] as const;
      return [module, columnFactors(both, [grams[0]!.get(module)!, grams[1]!.get(module)!], { lambda, steps, lr })];
    }),
  );
  return sum(plain.map((each, i) => withColumns(each, (module) => found.get(module)?.[i])));
}

/** m₁ and m₂ of one layer, `[in]` each, from factors with scaling 1 and `grams` XᵢXᵢᵀ, `[in, in]` each. */
export function columnFactors(
  both: Pair<ModuleFactors>,
  grams: Pair<Matrix>,
  { lambda, steps, lr }: Search,
): Pair<Float32Array> {
  const width = grams[0].rows;
  // ‖ΔWⱼ·diag(a)·Xᵢ‖² is aᵀ·(Kⱼₖ ∘ XᵢXᵢᵀ)·b with Kⱼₖ = ΔWⱼᵀ·ΔWₖ, so the loss is mᵀ·H·m − 2·bᵀ·m + 2.
  const K = both.map((left) => both.map((right) => matmul(matmul(left.A, matmul(left.B, right.B, { transposeA: true }), { transposeA: true }), right.A))); // prettier-ignore
  const parts = grams.map(({ data }, i) => {
    // An adapter of zeros has no loss.
    const whole = dot(K[i]![i]!.data, data) || 1;
    return data.map((value) => value / whole);
  });
  const all = parts[0]!.map((value, at) => value + parts[1]![at]!);
  const row = (of: Float64Array, c: number): Float64Array => of.subarray(c * width, (c + 1) * width);
  const b = K.map(([one, other]) => Float64Array.from({ length: width }, (_, c) => dot(row(one!.data, c), row(parts[0]!, c)) + dot(row(other!.data, c), row(parts[1]!, c)))); // prettier-ignore
  const H = K.map((each) => each.map(({ data }) => matrix(width, width, data.map((value, at) => value * all[at]!)))); // prettier-ignore
  const m = new Float32Array(2 * width).fill(1);
  const of = (j: number): Float32Array => m.subarray(j * width, (j + 1) * width);
  const adam = new OptimizerMemory(createOptimizer('adam'));
  for (let step = 0; step < steps; step++) {
    const alike = (lambda * Math.sign(dot(of(0), of(1)))) / width;
    const gradient = new Float32Array(2 * width);
    for (const j of [0, 1]) {
      const [one, other] = [0, 1].map((k) => matmul(matrix(1, width, of(k)), H[k]![j]!).data);
      of(1 - j).forEach((value, c) => {
        gradient[j * width + c] = 2 * (one![c]! + other![c]! - b[j]![c]!) + alike * value;
      });
    }
    // The optimizer yields after each part of the tensor.
    for (const _ of adam.update('m', m, gradient, { lr, weightDecay: 0, dims: [2, width] }));
  }
  return [of(0), of(1)];
}

function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

function withColumns(adapter: Adapter, factors: (module: string) => Float32Array | undefined): Adapter {
  const changed = [...adapter.tensors].map(([name, tensor]): [string, Tensor] => {
    const m = factors(/^base_model\.model\.(.+)\.lora_A\.weight$/.exec(name)?.[1] ?? '');
    if (!m) return [name, tensor];
    return [name, float32((tensor.data as Float32Array).map((value, at) => value * m[at % m.length]!), tensor.dims)]; // prettier-ignore
  });
  return new Adapter(adapter.config, new Map(changed), adapter.baseDigest, adapter.notes);
}
