/** @file Shared parts of LoRA's variants: settings, factors and init. */

import {
  type ChangeByFactors,
  type TargetLayer,
  type TensorSpec,
  type Tuner,
  type TunerSettings,
} from '@onnx-lora/sdk/plugin';
import { dropoutOf, finite, finiteOf, requireOnly, whole, wholeOf } from '../settings.ts';
import { kaiming, zeros } from '../tensors.ts';

/** PEFT's LoRA settings and defaults. */
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

/** Fields of a variant of LoRA, by the config key that selects it. */
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
 * @param isNew for a new adapter, settings without effect here are refused
 * @throws OnnxLoraError `CONFIG_INVALID` for unsupported LoRA settings
 */
export function rankOf(
  layer: TargetLayer,
  settings: TunerSettings,
  isNew: boolean,
): { readonly r: number; readonly scaling: number; readonly dropout: number } {
  requireOnly(settings, isNew ? onlyDefault : { use_dora: false });
  const r = wholeOf(layer, settings, 'r', 'rank_pattern');
  const alpha = finiteOf(layer, settings, 'lora_alpha', 'alpha_pattern');
  const scaling = alpha / (settings['use_rslora'] === true ? Math.sqrt(r) : r);
  return { r, scaling, dropout: dropoutOf(settings, 'lora_dropout') };
}

const onlyDefault: TunerSettings = { use_dora: false, lora_bias: false, bias: 'none', init_lora_weights: true };

/** Plain LoRA by `r` and `lora_alpha`: its tensors and factors. */
export function loraOf(
  { in: width, out }: TargetLayer,
  settings: TunerSettings,
): ChangeByFactors & Record<'r' | 'scaling', number> & { tensors: Record<'lora_A' | 'lora_B', TensorSpec> } {
  const r = whole(settings, 'r');
  const scaling = finite(settings, 'lora_alpha') / r;
  const { 'lora_A.weight': lora_A, 'lora_B.weight': lora_B } = loraFactors(r, width, out);
  const factors: ChangeByFactors['factors'] = (g, { lora_A: A, lora_B: B }) => ({ A: A!, B: g.Mul(B!, scaling) });
  return { r, scaling, tensors: { lora_A, lora_B }, factors };
}

/** LoRA's init: A uniform in ±1/√in, B zero. */
export function loraFactors(
  r: number,
  width: number,
  out: number,
): Record<'lora_A.weight' | 'lora_B.weight', TensorSpec> {
  return { 'lora_A.weight': kaiming([r, width]), 'lora_B.weight': zeros([out, r]) };
}
