/** @file Adapters with random values, whose every tensor takes part. */

import { Adapter, type LoraOptions, type Model } from '@onnx-lora/sdk';
import { injectAdapters, planAdapter, ParameterSet } from '@onnx-lora/sdk/core';
import { Random } from '@onnx-lora/sdk/data';

/** Options of {@link randomAdapter}. */
export interface RandomAdapterOptions {
  /** The adapter; by default what the model's family recommends, of rank 8. */
  readonly lora?: LoraOptions;
  /** 1 by default. */
  readonly seed?: number;
}

/**
 * An adapter that changes what the model computes: PEFT's first values, with random ones in place of zeros. The same seed
 * gives the same adapter.
 *
 * @throws OnnxLoraError `TARGET_NOT_FOUND` for a target that matches nothing, `CONFIG_INVALID`
 */
export async function randomAdapter(model: Model, { lora, seed = 1 }: RandomAdapterOptions = {}): Promise<Adapter> {
  const { plan, config } = planAdapter(model, lora);
  const { inputs } = injectAdapters(model.onnx.model, plan, { types: model.types(), mode: 'training' });
  const random = new Random(seed);
  const set = withoutZeros(ParameterSet.initial(inputs, random), random);
  return new Adapter(config, set.tensors(), await model.digest());
}

/** The set with random values in place of zeros, and a little beside those that are the base's. */
export function withoutZeros(set: ParameterSet, random: Random): ParameterSet {
  for (const parameter of set.all) {
    const { value, input } = parameter;
    const isZero = value.every((each) => each === 0);
    const { tuning, tensor } = input;
    const { base, rankAxis, twin } = tensor;
    // Values in place of the base's own: whole parameters, rows of a table.
    const replaces = tuning.parameter !== undefined || base !== undefined;
    // A factor that is random already.
    if (rankAxis !== undefined && !replaces && !isZero) continue;
    const reach = isZero && !replaces ? 0.2 : 0.05;
    for (let i = 0; i < value.length; i++) value[i]! += random.uniform(-reach, reach);
    if (!twin) set.share(parameter);
  }
  set.refresh();
  return set;
}
