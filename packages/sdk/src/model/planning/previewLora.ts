/** @file What an adapter with given options would train, before anything is trained. */

import type { Generation } from '../../adapter/naming/nameTable.ts';
import type { LoraOptions } from './loraOptions.ts';
import { planAdapter } from './planAdapter.ts';
import type { Model } from '../loaded/model.ts';
import { requireModel } from '../loaded/givenArguments.ts';

/** What {@link previewLora} finds. */
export interface LoraPreview {
  /** Paths of the modules that would be adapted, in graph order; of a MultiheadAttention that of the whole. */
  readonly targets: readonly string[];
  /** Names of the parameters that would get one by their own names. */
  readonly parameters: readonly string[];
  /** Paths of the embeddings of which rows would be trained. */
  readonly tokens: readonly string[];
  /** Names of the parameters that would be trained in full, such as `classifier.weight`. */
  readonly trained: readonly string[];
  /** How many numbers would be trained. */
  readonly trainableParameters: number;
  /** What of the options is met in another way than was asked, such as layers that are left out, and how to have it. */
  readonly warnings: readonly string[];
  /** The version of transformers whose names the options use, where the model has the other's: they were translated. */
  readonly namedAs?: Generation;
}

/**
 * Applies the options to a model without training.
 *
 * @throws OnnxLoraError `TARGET_NOT_FOUND` for an entry that matches nothing, `CONFIG_INVALID` for impossible values
 */
export function previewLora(model: Model, options: LoraOptions = {}): LoraPreview {
  requireModel('previewLora', model);
  const { plan, config, initializer, namedAs, warnings } = planAdapter(model, options);
  const isFixed = (role: string): boolean => initializer?.fixed?.some((each) => each === role) ?? false;
  const tensors = plan.flatMap((tuning) => tuning.trained().filter(({ role }) => !isFixed(role)));
  return {
    // Anything but a list is PEFT's word for no modules.
    targets: typeof config.targetModules === 'string' ? [] : (config.targetModules ?? []),
    parameters: config.targetParameters ?? [],
    tokens: Object.keys(config.trainableTokenIndices ?? {}),
    trained: plan.flatMap(({ parameter }) => parameter?.name ?? []),
    // What modules share is one tensor.
    trainableParameters: [...new Map(tensors.map(({ name, count }) => [name, count])).values()].reduce((sum, count) => sum + count, 0), // prettier-ignore
    warnings,
    ...(namedAs === undefined ? {} : { namedAs }),
  };
}
