/** @file Adapters with random values, so that every tensor matters. */

import { Adapter, type LoraOptions, type Model } from '@onnx-lora/sdk';
import { injectAdapters, planAdapter, ParameterSet } from '@onnx-lora/sdk/core';
import { Random } from '@onnx-lora/sdk/data';

/** Options of {@link randomAdapter}. */
export interface RandomAdapterOptions {
  /** The adapter; by default the family's recommendation, of rank 8. */
  readonly lora?: LoraOptions;
  /** Seed; 1 by default. */
  readonly seed?: number;
}

/** PEFT's initial adapter without its zeros. @throws OnnxLoraError `TARGET_NOT_FOUND`, `CONFIG_INVALID` */
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
