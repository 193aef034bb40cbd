/** @file Starts training from an adapter: its modules, ranks, scalings and values, with a fresh optimizer. */

import { sha256 } from '../../platform/hash.ts';
import { Adapter } from '../../adapter/adapter.ts';
import { parseTensorName } from '../../adapter/formats/tensorNames.ts';
import type { AdapterInput } from '../../lora/methods/moduleAdapter.ts';
import { WholeParameter } from '../../lora/methods/saved.ts';
import { Random } from '../../runtime/random.ts';
import { ParameterSet } from '../../train/parameters.ts';
import type { Initialised } from './initialise.ts';
import type { Model } from '../loaded/model.ts';
import { trainedParameters } from '../planning/trainedParameters.ts';

/** An adapter as the start of a run. */
export interface Continued extends Initialised {
  parameters(inputs: readonly AdapterInput[], seed: number): ParameterSet;
  readonly digest: string;
}

/**
 * Places an adapter's tensors as initial values.
 * @param model with the head to train
 * @param newHead modules of a head that replaces the adapter's
 * @throws OnnxLoraError `ADAPTER_MISMATCH` for an adapter of another base
 */
export async function continueFrom(model: Model, given: Adapter, newHead: readonly string[]): Promise<Continued> {
  const kept = [...given.tensors].filter(([name]) => !newHead.includes(parseTensorName(name).module));
  const adapter = newHead.length === 0 ? given : new Adapter(given.config, new Map(kept), given.baseDigest);
  const placed = await model.place(adapter, { toTrain: true });
  const heads = trainedParameters(model, { modulesToSave: newHead });
  const plan = [...placed.tunings.map(({ tuning }) => tuning), ...heads.map((each) => new WholeParameter(each))];
  const saved = placed.adapter.config.modulesToSave ?? [];
  const isSaved = (path: string): boolean => saved.some((name) => path === name || path.endsWith(`.${name}`));
  const added = newHead.filter((path) => !isSaved(path));
  const config =
    added.length === 0 ? placed.adapter.config : { ...placed.adapter.config, modulesToSave: [...saved, ...added] };
  const begun = new Set(placed.tunings.map(({ tuning }) => tuning.slot));
  const hash = sha256();
  for (const [name, { data }] of adapter.tensors)
    hash.update(name).update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  return {
    plan,
    config,
    digest: hash.digest('hex'),
    finish: (trained, base) => new Adapter(config, trained, base),
    parameters: (inputs, seed) => {
      const own = inputs.filter(({ tuning }) => begun.has(tuning.slot));
      // Copies: the adapter keeps its numbers. Integers are the adapter's too, never drawn anew.
      const copies = ParameterSet.of(placed, own).withValues(new Map());
      const kept = new Map([...copies.all, ...copies.buffers].map((each) => [each.input.name, each]));
      const { all, buffers } = ParameterSet.initial(inputs, new Random(seed));
      return new ParameterSet([...all, ...buffers].map((each) => kept.get(each.input.name) ?? each));
    },
  };
}
