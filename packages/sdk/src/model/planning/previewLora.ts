/** @file `previewLora`: shows the layers and parameters that an adapter with given options would train. */

import type { Generation } from '../../adapter/naming/nameTable.ts';
import type { LoraOptions } from './loraOptions.ts';
import { planAdapter } from './planAdapter.ts';
import type { Model } from '../loaded/model.ts';
import { requireModel } from '../loaded/argumentChecks.ts';

/** Result of {@link previewLora}. */
export interface LoraPreview {
  /** Paths of the modules to adapt, in graph order; a MultiheadAttention counts as one. */
  readonly targets: readonly string[];
  /** Names of the parameters to adapt by name. */
  readonly parameters: readonly string[];
  /** Paths of the embeddings with trained rows. */
  readonly tokens: readonly string[];
  /** Names of the parameters to train in full, such as `classifier.weight`. */
  readonly trained: readonly string[];
  /** Number of values to train. */
  readonly trainableParameters: number;
  /** Deviations from the options, such as layers left out, and remedies. */
  readonly warnings: readonly string[];
  /** The transformers version whose names the options use, if translated to the model's. */
  readonly namedAs?: Generation;
}

/**
 * Applies the options to a model without training.
 * @throws OnnxLoraError `TARGET_NOT_FOUND` for an entry that matches nothing, `CONFIG_INVALID` for invalid values
 */
export function previewLora(model: Model, options: LoraOptions = {}): LoraPreview {
  requireModel('previewLora', model);
  const { plan, config, initializer, namedAs, warnings } = planAdapter(model, options);
  const isFixed = (role: string): boolean => initializer?.fixed?.some((each) => each === role) ?? false;
  const tensors = plan.flatMap((tuning) => tuning.trained().filter(({ role }) => !isFixed(role)));
  return {
    // A string is PEFT's placeholder for no modules.
    targets: typeof config.targetModules === 'string' ? [] : (config.targetModules ?? []),
    parameters: config.targetParameters ?? [],
    tokens: Object.keys(config.trainableTokenIndices ?? {}),
    trained: plan.flatMap(({ parameter }) => parameter?.name ?? []),
    // Tied modules share one tensor.
    trainableParameters: [...new Map(tensors.map(({ name, count }) => [name, count])).values()].reduce((sum, count) => sum + count, 0), // prettier-ignore
    warnings,
    ...(namedAs === undefined ? {} : { namedAs }),
  };
}
