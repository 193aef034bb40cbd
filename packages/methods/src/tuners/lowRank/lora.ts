/** @file What the variants of LoRA have in common: its settings, and factors that begin as LoRA's. */

import { scalingOf, type TunedLayer, type TunedTensor, type Tuner, type TunerSettings } from '@onnx-lora/sdk/plugin';
import { OnnxLoraError } from '@onnx-lora/sdk';
import { uniform, zeros } from '../tensors.ts';

/** PEFT's keys of LoRA with its defaults. */
const defaults = {
  r: 8,
  lora_alpha: 8,
  lora_dropout: 0,
  use_rslora: false,
  rank_pattern: {},
  alpha_pattern: {},
  use_dora: false,
  lora_bias: false,
  bias: 'none',
  init_lora_weights: true,
  fan_in_fan_out: false,
};

/** What is the same of all variants, by the key that makes an adapter one, and that key's value. */
export function variantOfLora(
  variant: string,
  value: unknown,
  more: TunerSettings = {},
): Pick<Tuner, 'peftType' | 'variant' | 'defaults'> {
  return {
    peftType: 'LORA',
    variant,
    defaults: { ...defaults, ...more, [variant]: value },
  };
}

/**
 * Rank, scaling and dropout of a layer.
 *
 * @param isNew whether the adapter begins now, so that all settings must mean something here
 * @throws OnnxLoraError `CONFIG_INVALID` for settings of LoRA that no variant here has
 */
export function rankOf(
  { path }: TunedLayer,
  settings: TunerSettings,
  isNew: boolean,
): { readonly r: number; readonly scaling: number; readonly dropout: number } {
  const {
    r,
    lora_alpha: alpha,
    rank_pattern: ranks,
    alpha_pattern: alphas,
    use_rslora: root,
    lora_dropout: dropout,
  } = settings;
  const other = (isNew ? Object.keys(onlyDefault) : ['use_dora']).find((key) => settings[key] !== onlyDefault[key]);
  if (other !== undefined) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `"${other}" must be ${JSON.stringify(onlyDefault[other])} of this variant of LoRA, and it is ${JSON.stringify(settings[other])}. Leave it out.`,
    );
  }
  if (!((dropout as number) >= 0 && (dropout as number) < 1)) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `lora_dropout must be a number from 0 to below 1, and is ${JSON.stringify(dropout)}. Give the share of inputs that a step leaves out.`,
    );
  }
  const { r: rank, scaling } = scalingOf(
    {
      r: r as number,
      loraAlpha: alpha as number,
      rankPattern: (ranks ?? {}) as Record<string, number>,
      alphaPattern: (alphas ?? {}) as Record<string, number>,
      useRslora: root === true,
    },
    path,
  );
  return { r: rank, scaling, dropout: dropout as number };
}

const onlyDefault: TunerSettings = { use_dora: false, lora_bias: false, bias: 'none', init_lora_weights: true };

/** A and B as LoRA begins: A uniform in ±1/√in, B zero. */
export function loraFactors(
  r: number,
  width: number,
  out: number,
): Record<'lora_A.weight' | 'lora_B.weight', TunedTensor> {
  return { 'lora_A.weight': uniform([r, width], 1 / Math.sqrt(width)), 'lora_B.weight': zeros([out, r]) };
}
