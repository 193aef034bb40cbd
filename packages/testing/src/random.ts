/** @file Random feeds, adapters and trainers, reproducible by seed. */

import {
  Adapter,
  float32,
  int64,
  type LoraOptions,
  type Model,
  OnnxLoraError,
  OrtRuntime,
  type Tensor,
} from '@onnx-lora/sdk';
import {
  type AdapterPlan,
  type DrawMask,
  injectAdapters,
  MaskDrawer,
  ParameterSet,
  planAdapter,
  Trainer,
} from '@onnx-lora/sdk/core';
import { Random } from '@onnx-lora/sdk/data';
import { type LossFragment, sizeOf, type TaskModel } from '@onnx-lora/sdk/tasks';

/** Options of {@link randomFeeds}. */
export interface RandomFeedsOptions {
  /** Sizes of dynamic dimensions by name; by default 2 for an input's first dimension, 4 for others. */
  readonly sizes?: Readonly<Record<string, number>>;
  /** Exclusive upper bound of integers; 2 by default, which suits masks and small vocabularies. */
  readonly integers?: number;
  /** 1 by default. */
  readonly seed?: number;
}

/** A tensor per input: normal floats, integers from 0, bools of true. @throws OnnxLoraError `INPUT_INVALID` */
export function randomFeeds(
  { inputs, name: model }: Pick<TaskModel, 'inputs' | 'name'>,
  { sizes = {}, integers = 2, seed = 1 }: RandomFeedsOptions = {},
): Record<string, Tensor> {
  const random = new Random(seed);
  return Object.fromEntries(
    Object.entries(inputs).map(([name, { type, dims }]) => {
      const shape = dims?.map((size, i) => (typeof size === 'number' ? size : (sizes[size] ?? (i === 0 ? 2 : 4))));
      const count = sizeOf(shape ?? []);
      if (shape && type === 'float32') return [name, float32(Float32Array.from({ length: count }, () => random.normal()), shape)]; // prettier-ignore
      if (shape && type === 'int64') return [name, int64(Array.from({ length: count }, () => random.index(integers)), shape)]; // prettier-ignore
      if (shape && type === 'bool') return [name, { type, dims: shape, data: new Uint8Array(count).fill(1) }];
      throw new OnnxLoraError(
        'INPUT_INVALID',
        `There are no random values for the input "${name}" of "${model}" (${type}, ${dims ? 'of known shape' : 'of unknown shape'}). Pass feeds of your own.`,
      );
    }),
  );
}

/** Options of {@link randomAdapter}. */
export interface RandomAdapterOptions {
  /** The adapter; by default the family's recommendation, of rank 8. */
  readonly lora?: LoraOptions;
  /** Seed; 1 by default. */
  readonly seed?: number;
}

/** An adapter of PEFT's initial values, random in place of zeros. @throws OnnxLoraError `TARGET_NOT_FOUND` */
export async function randomAdapter(model: Model, { lora, seed = 1 }: RandomAdapterOptions = {}): Promise<Adapter> {
  const { plan, config } = planAdapter(model, lora);
  const { inputs } = injectAdapters(model.onnx.model, plan, { types: model.types(), mode: 'training' });
  const random = new Random(seed);
  const set = withoutZeros(ParameterSet.initial(inputs, random), random);
  return new Adapter(config, set.tensors(), await model.digest());
}

/** Replaces zeros by random values, and perturbs values copied from the base. */
export function withoutZeros(set: ParameterSet, random: Random): ParameterSet {
  for (const parameter of set.all) {
    const { value, input } = parameter;
    const isZero = value.every((each) => each === 0);
    const { tuning, tensor } = input;
    const { base, rankAxis, twin } = tensor;
    // Values that replace the base's: whole parameters, rows of a table.
    const replaces = tuning.parameter !== undefined || base !== undefined;
    // A factor that is already random.
    if (rankAxis !== undefined && !replaces && !isZero) continue;
    const reach = isZero && !replaces ? 0.2 : 0.05;
    for (let i = 0; i < value.length; i++) value[i]! += random.uniform(-reach, reach);
    if (!twin) set.share(parameter);
  }
  set.refresh();
  return set;
}

/** The same masks for each step, for comparable losses. */
export const drawOnce: DrawMask = (mask) => new MaskDrawer(1).next([mask])[0]![1].data as Float32Array;

/** Runs on the CPU with one thread, so that results are reproducible. Release it. */
export function randomTrainer(model: Model, plan: AdapterPlan, loss: LossFragment, seed = 1): Trainer {
  const random = new Random(seed);
  return new Trainer({
    base: model.onnx.model,
    plan,
    loss,
    runtime: new OrtRuntime(),
    session: { threads: 1, provider: 'cpu' },
    drawMask: drawOnce,
    parameters: (inputs) => withoutZeros(ParameterSet.initial(inputs, random), random),
    name: model.name,
  });
}
