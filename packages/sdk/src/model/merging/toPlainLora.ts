/** @file `toPlainLora`: plain LoRA from adapters whose initialisation changed PEFT's base. */

import { Adapter } from '../../adapter/adapter.ts';
import { convertResidual } from '../../adapter/storage/convertResidual.ts';
import { baseChangingInit, requireLora } from '../../adapter/formats/peftVariants.ts';
import { parseTensorName } from '../../adapter/formats/tensorNames.ts';
import { OnnxLoraError } from '../../errors.ts';
import { initializerOf } from '../../lora/init/named.ts';
import { weightMatrix } from '../../lora/init/weightMatrix.ts';
import { Random } from '../../runtime/random.ts';
import { initSite } from '../planning/initialSite.ts';
import { modelForAdapter } from '../head/forAdapter.ts';
import type { Model } from '../loaded/model.ts';
import { peftTensors } from '../initial/start.ts';

/**
 * Converts to an adapter of twice the rank for the original base. In PEFT, PiSSA, OLoRA, CorDA and LoRA-GA subtract an
 * adapter's initial values from the base, so such an adapter only fits the rest. Adapters trained here are plain
 * already.
 * @param from the adapter as saved before training; or the original base, to recompute the initial values of PiSSA and
 *   OLoRA as PEFT does on loading (approximately for the random `pissa_niter_N`), with module names of the model
 * @example
 * const plain = await toPlainLora(await loadAdapter('pissa-adapter'), await openModel('models/vit'));
 * await plain.save('plain-adapter');
 * @throws OnnxLoraError `INPUT_INVALID` for an adapter that left its base alone, or was initialised from data;
 *   `ADAPTER_MISMATCH` if the two do not belong together
 */
export async function toPlainLora(adapter: Adapter, from: Adapter | Model): Promise<Adapter> {
  requireLora(adapter.config, 'made plain');
  if (from instanceof Adapter) return convertResidual(adapter, from);
  const name = baseChangingInit(adapter.config);
  if (name === undefined) {
    throw new OnnxLoraError(
      'INPUT_INVALID',
      `The adapter's initialisation (${JSON.stringify(adapter.config.initLoraWeights)}) left its base alone, so the adapter is plain LoRA already. Use it as it is.`,
    );
  }
  const initializer = name === 'loftq' ? undefined : initializerOf(name);
  if (initializer?.needs !== 'weight') {
    throw new OnnxLoraError(
      'INPUT_INVALID',
      `The initial values of "${name}" cannot be computed from the base alone. Give the adapter that was saved before training (--plain-from), or save it in PEFT with path_initial_model_for_weight_conversion.`,
    );
  }
  const headed = modelForAdapter(from, adapter);
  const { adapter: named, tunings, unused } = await headed.place(adapter, { allowBaseMismatch: true });
  const missing = unused.map((each) => parseTensorName(each)).find(({ role }) => role.startsWith('lora_'));
  if (missing) {
    throw new OnnxLoraError(
      'ADAPTER_MISMATCH',
      `"${from.name}" has no module "${missing.module}", whose first values are needed. Use the base model that the adapter was trained on, or give the adapter that was saved before training (--plain-from).`,
    );
  }
  const random = new Random(0);
  const tensors = tunings.flatMap(({ tuning: { lowRank, scaling = 1 } }) => {
    if (!lowRank) return [];
    const { site } = lowRank;
    const facts = initSite(lowRank, named.config);
    const refusal = initializer.refuses?.(facts);
    if (refusal !== undefined) {
      throw new OnnxLoraError(
        'ADAPTER_MISMATCH',
        `"${site.path}" of "${from.name}" cannot have started with "${name}": the layer ${refusal}. Use the base model that the adapter was trained on.`,
      );
    }
    return peftTensors({ lowRank, factors: initializer.init(facts, weightMatrix(site), random), scaling });
  });
  return convertResidual(named, new Adapter(named.config, new Map(tensors)));
}
