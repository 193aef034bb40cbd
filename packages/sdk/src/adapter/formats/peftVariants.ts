/** @file Detects variants of LoRA, and adapters of modified bases, from the config. */

import { OnnxLoraError } from '../../errors.ts';
import { type AdapterConfig, LORA } from './peftConfig.ts';

/** Initialisations that subtract initial values from the base, or quantise it. */
const BASE_CHANGING = /^(pissa|corda|olora|loftq|lora_ga)/;

/** The initialisation that modified the adapter's base, if any. */
export function baseChangingInit({ initLoraWeights }: Pick<AdapterConfig, 'initLoraWeights'>): string | undefined {
  return typeof initLoraWeights === 'string' && BASE_CHANGING.test(initLoraWeights) ? initLoraWeights : undefined;
}

/** Options that make PEFT (for MoRA its authors' fork) compute something else than s·B·A, or change the layers. */
const variants = [
  'alora_invocation_tokens',
  'arrow_config',
  'kasa_config',
  'layer_replication',
  'use_bdlora',
  'use_mora',
  'use_qalora',
];

/** Options that only affect training; the adapter computes s·B·A. */
const ofTraining = ['monteclora_config', 'velora_config'];

const TRAINING_TENSOR = /\.lora_(?:velora_embed|monteclora_sampler\.\w+)$/;

/** True for the names of tensors that only training needs. */
export function isForTraining(name: string): boolean {
  return TRAINING_TENSOR.test(name);
}

/** PEFT's key of a LoRA variant that only affects training. */
export function trainedAs({ extra }: Pick<AdapterConfig, 'extra'>): string | undefined {
  return ofTraining.find((key) => Object.hasOwn(extra, key) && Boolean(extra[key]));
}

/** PEFT's key of a LoRA variant that does not compute s·B·A. */
export function variantOf({ extra }: Pick<AdapterConfig, 'extra'>): string | undefined {
  return variants.find((key) => Object.hasOwn(extra, key) && Boolean(extra[key]));
}

/**
 * @param done what only LoRA adapters can be: `combined`
 * @throws OnnxLoraError `INPUT_INVALID` unless the adapter is LoRA
 */
export function requireLora({ peftType }: Pick<AdapterConfig, 'peftType'>, done: string): void {
  if (peftType === LORA) return;
  throw new OnnxLoraError(
    'INPUT_INVALID',
    `The adapter is of the type ${peftType}, and only LoRA adapters can be ${done}. Convert it with PEFT's save_as_lora, or use it in a session.`,
  );
}
