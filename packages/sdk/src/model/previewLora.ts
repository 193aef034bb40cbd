/** @file What an adapter with given options would train, before anything is trained. */

import { kindOf } from '../lora/kinds/table.ts';
import { sizeOf } from '../runtime/tensor.ts';
import { type LoraOptions, planLora } from './loraOptions.ts';
import type { Model } from './model.ts';

/** What {@link previewLora} finds. */
export interface LoraPreview {
  /** Paths of the modules that would get a low-rank adapter, in graph order. */
  readonly targets: readonly string[];
  /** Names of the parameters that would be trained in full, such as `classifier.weight`. */
  readonly trained: readonly string[];
  /** How many numbers would be trained. */
  readonly trainableParameters: number;
}

/**
 * Applies the options to a model without training.
 *
 * @throws OnnxLoraError `TARGET_NOT_FOUND` for an entry that matches nothing, `CONFIG_INVALID` for impossible values
 */
export function previewLora(model: Model, options: LoraOptions = {}): LoraPreview {
  const { plan } = planLora(model, options);
  const lowRank = plan.lowRank.map(({ site, r, dora }) => {
    const kind = kindOf(site);
    const factors = (['lora_A', 'lora_B'] as const).map((factor) => sizeOf(kind.factorShape(site, factor, r!)));
    return factors[0]! + factors[1]! + (dora ? kind.matrix(site).out : 0);
  });
  const trained = plan.trained.map(({ tensor }) => sizeOf(tensor.dims ?? []));
  return {
    targets: plan.lowRank.map(({ site }) => site.path),
    trained: plan.trained.map(({ name }) => name),
    trainableParameters: [...lowRank, ...trained].reduce((sum, count) => sum + count, 0),
  };
}
