/** @file What an adapter's config says beyond LoRA: variants of its formula, and bases that it counts from. */

import { OnnxLoraError } from '../../errors.ts';
import { type AdapterConfig, LORA } from './peftConfig.ts';

/** Initialisations that take the first values out of the base's weights, or exchange those for quantised ones. */
const BASE_CHANGING = /^(pissa|corda|olora|loftq|lora_ga)/;

/** The initialisation by which the adapter counts from a base other than the one that it names. */
export function baseChangingInit({ initLoraWeights }: Pick<AdapterConfig, 'initLoraWeights'>): string | undefined {
  return typeof initLoraWeights === 'string' && BASE_CHANGING.test(initLoraWeights) ? initLoraWeights : undefined;
}

/** Options by which PEFT, or for MoRA its authors' fork, computes something else than s·B·A, or for another stack of layers. */
const variants = [
  'alora_invocation_tokens',
  'arrow_config',
  'kasa_config',
  'layer_replication',
  'use_bdlora',
  'use_mora',
  'use_qalora',
];

/** Options that say but how an adapter is trained; what it computes is s·B·A. */
const ofTraining = ['monteclora_config', 'velora_config'];

/** What files have of these options, beside A and B. */
const TRAINING_TENSOR = /\.lora_(?:velora_embed|monteclora_sampler\.\w+)$/;

/** Whether a tensor is there for training alone, by its name in a file. */
export function isForTraining(name: string): boolean {
  return TRAINING_TENSOR.test(name);
}

/** PEFT's key of the option that makes the adapter a variant of LoRA, of which only training knows. */
export function trainedAs({ extra }: Pick<AdapterConfig, 'extra'>): string | undefined {
  return ofTraining.find((key) => Object.hasOwn(extra, key) && Boolean(extra[key]));
}

/** PEFT's key of the option that makes the adapter a variant of LoRA that computes something else. */
export function variantOf({ extra }: Pick<AdapterConfig, 'extra'>): string | undefined {
  return variants.find((key) => Object.hasOwn(extra, key) && Boolean(extra[key]));
}

/**
 * Checks that an adapter is LoRA.
 *
 * @param done what only LoRA adapters can be: `combined`
 * @throws OnnxLoraError `INPUT_INVALID`
 */
export function requireLora({ peftType }: Pick<AdapterConfig, 'peftType'>, done: string): void {
  if (peftType === LORA) return;
  throw new OnnxLoraError(
    'INPUT_INVALID',
    `The adapter is of the type ${peftType}, and only LoRA adapters can be ${done}. Convert it with PEFT's save_as_lora, or use it in a session.`,
  );
}
