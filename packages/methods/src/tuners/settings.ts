/** @file Settings of PEFT's that only matter in its training, and how they are refused where they are not read. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { Tuner, TunerSettings } from '@onnx-lora/sdk/plugin';

/** PEFT's ways to say which layers, which the SDK reads itself. */
export const whichLayers: TunerSettings = { exclude_modules: null, layers_pattern: null, layers_to_transform: null };

/** @throws OnnxLoraError `CONFIG_INVALID` for a setting that is none of those that it may be */
export function oneOf(tuner: string, settings: TunerSettings, key: string, allowed: readonly unknown[]): void {
  const { [key]: value } = settings;
  if (allowed.includes(value)) return;
  const names = allowed.map((each) => JSON.stringify(each)).join(', ');
  const remedy = allowed.length === 1 ? `Only ${names} is known` : `Choose one of ${names}`;
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    `"${key}" of the tuner "${tuner}" cannot be ${JSON.stringify(value)}. ${remedy}.`,
  );
}

/** Hooks of a tuner that trains with these values of its settings alone; adapters that were trained with others can be run. */
export function trainsWith(tuner: string, values: TunerSettings): Required<Pick<Tuner, 'training'>> {
  return {
    training: (settings) => {
      for (const [key, value] of Object.entries(values)) oneOf(tuner, settings, key, [value]);
      return {};
    },
  };
}
