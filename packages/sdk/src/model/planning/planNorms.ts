/** @file LN tuning (PEFT's `LN_TUNING`): trains weights and biases of normalisation layers in full. */

import { adapterConfig, LN_TUNING } from '../../adapter/formats/peftConfig.ts';
import { normName } from '../../adapter/formats/tensorNames.ts';
import { ParameterFinder } from '../../adapter/merging/findParameter.ts';
import { OnnxLoraError } from '../../errors.ts';
import { WholeParameter } from '../../lora/methods/saved.ts';
import type { LoraOptions, PlannedAdapter } from './loraOptions.ts';
import type { Model } from '../loaded/model.ts';
import { wholeModule } from '../loaded/reservedSlots.ts';
import { selectNamed } from '../graph/selectNamed.ts';
import { trainedParameters } from './trainedParameters.ts';

/**
 * Applies the options to a model. Default targets are all modules with a 1-D weight.
 * @see https://arxiv.org/abs/2312.11420
 * @throws OnnxLoraError `TARGET_NOT_FOUND` for an entry that matches nothing; `CONFIG_INVALID` without such a module
 */
export function planNorms(model: Model, options: LoraOptions): PlannedAdapter {
  const finder = new ParameterFinder(model.onnx.model.graph, model.sites());
  const { targetModules: given = normsOf(model, finder) } = options;
  if (typeof given === 'function') {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      'targetModules is a function, which is asked of layers that can be adapted, and not of normalisations. Name these, or leave it out for all.',
    );
  }
  // Lets selectNamed choose among any modules, since any can be trained in full.
  const modules = model.namedModules().map((each) => (each.kind === 'other' ? { ...each, kind: 'embedding' } : each));
  const selected = selectNamed(modules, { ...options, r: 1, loraAlpha: 1, targetModules: given }, model);
  const norms = selected.targets.flatMap((path) => wholeModule(finder, path));
  const trained = trainedParameters(model, { modulesToSave: selected.modulesToSave });
  if (norms.length === 0) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `"${model.name}" has no normalisation whose weight has kept its name, so LN tuning has nothing to train. Name modules (targetModules, --targets), or train another adapter.`,
    );
  }
  return {
    config: adapterConfig({
      peftType: LN_TUNING,
      r: 0,
      loraAlpha: 0,
      targetModules: selected.targets,
      modulesToSave: selected.fields.modulesToSave,
      baseModelNameOrPath: model.name,
    }),
    ...(selected.namedAs === undefined ? {} : { namedAs: selected.namedAs }),
    warnings: [],
    plan: [...norms.map((each) => ({ ...each, savedAs: normName(each.modulePath, each.name) })), ...trained].map(
      (each) => new WholeParameter(each),
    ),
  };
}

function normsOf(model: Model, finder: ParameterFinder): string[] {
  const others = model.namedModules().filter(({ kind }) => kind === 'other');
  return others.flatMap(({ path }) => {
    const { stored, torchDims } = finder.find(path, 'weight') ?? {};
    return stored && (torchDims ?? stored.dims).length === 1 ? [path] : [];
  });
}
