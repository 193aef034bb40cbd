/** @file Plans an adapter of another tuner than LoRA for a model. */

import { LORA, NORM_TUNER, adapterConfig, parseAdapterConfig } from '../../adapter/formats/peftConfig.ts';
import { ByTuner } from '../../lora/methods/byTuner.ts';
import type { ChosenTuner } from '../../lora/methods/adaptedLayer.ts';
import { WholeParameter } from '../../lora/methods/saved.ts';
import { didYouMean, OnnxLoraError } from '../../errors.ts';
import { targetNames } from './chosenModules.ts';
import type { LoraOptions, PlannedAdapter } from './loraOptions.ts';
import type { Model } from '../loaded/model.ts';
import { planNorms } from './planNorms.ts';
import { selectNamed } from '../graph/selectNamed.ts';
import { trainedParameters } from './trainedParameters.ts';

const shared: ReadonlySet<string> = new Set<keyof LoraOptions>([
  'tuner',
  'targetModules',
  'excludeModules',
  'modulesToSave',
  'layersToTransform',
  'layersPattern',
]);

/**
 * @throws OnnxLoraError `TARGET_NOT_FOUND` for an entry that matches nothing; `CONFIG_INVALID` for unknown tuners and
 *   settings, and options of LoRA; `MODEL_UNSUPPORTED` for a layer that the tuner cannot adapt
 */
export function planByTuner(
  model: Model,
  options: LoraOptions,
  given: NonNullable<LoraOptions['tuner']>,
): PlannedAdapter {
  const { tuner, settings: meant } = chooseTuner(model, given);
  const other = Object.entries(options).find(([key, value]) => value !== undefined && !shared.has(key));
  if (other) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `"${other[0]}" is an option of LoRA, and the tuner is "${tuner.name}". Leave it out; settings of the tuner stand beside its name: ${Object.keys(tuner.defaults).join(', ') || 'it has none'}.`,
    );
  }
  if (!('tune' in tuner)) return planNorms(model, options);
  const wanted = { ...options, r: 1, loraAlpha: 1, targetModules: targetNames(model, options) };
  const selected = selectNamed(model.namedModules(), wanted, model);
  const settings = tuner.saved?.(meant, selected.targets) ?? meant;
  const tuned = ByTuner.all(
    selected.targets.map((path) => ({ site: model.sitesByPath().get(path)!, module: path })),
    { tuner, settings },
  );
  const { modulesToSave } = selected;
  const trained = trainedParameters(model, { modulesToSave });
  if (tuned.length === 0)
    throw new OnnxLoraError('CONFIG_INVALID', 'targetModules is empty, so the tuner has nothing to adapt. Name modules.'); // prettier-ignore
  const fields = {
    targetModules: selected.targets,
    modulesToSave: selected.fields.modulesToSave,
    baseModelNameOrPath: model.name,
  };
  const config =
    tuner.peftType === LORA
      ? { ...parseAdapterConfig({ ...settings, peft_type: LORA }, `settings of ${tuner.name}`), ...fields }
      : adapterConfig({ peftType: tuner.peftType, r: 0, loraAlpha: 0, ...fields, extra: settings });
  return {
    config,
    ...(selected.namedAs === undefined ? {} : { namedAs: selected.namedAs }),
    warnings: [],
    plan: [...tuned, ...trained.map((each) => new WholeParameter(each))],
  };
}

/** The tuner of normalisation layers, which is built in. */
const norms = { name: NORM_TUNER, defaults: {} };

function chooseTuner(
  { registry }: Model,
  given: NonNullable<LoraOptions['tuner']>,
): { readonly tuner: ChosenTuner['tuner'] | typeof norms; readonly settings: ChosenTuner['settings'] } {
  const { name, ...settings } = typeof given === 'string' ? { name: given } : given;
  const all = [...registry.tuners, norms];
  const names = all.map((each) => each.name);
  const tuner = all.find((each) => each.name === name);
  if (!tuner) {
    const known =
      names.length > 1 ? `Choose one of ${names.join(', ')}` : `Load a plugin that brings it, or choose ${NORM_TUNER}`;
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `There is no tuner "${name}".${didYouMean(name, names)} ${known}, or leave it out for LoRA.`,
    );
  }
  const own = Object.keys(tuner.defaults);
  const unknown = Object.keys(settings).find((key) => !own.includes(key));
  if (unknown === undefined) return { tuner, settings: { ...tuner.defaults, ...settings } };
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    `The tuner "${name}" has no setting "${unknown}".${didYouMean(unknown, own)} Its settings are ${own.join(', ') || '(none)'}.`,
  );
}
