/** @file The setting by which tasks of the command line take a preset of wave augmentations. */

import type { SettingRow } from '@onnx-lora/sdk/plugin';
import type { WaveAugmentation } from './augmentWave.ts';
import { gain } from './gain.ts';
import { noise } from './noise.ts';
import { speed } from './speed.ts';

/** Speeds of 0.9, 1 and 1.1, as recognisers have been trained with since Ko et al. 2015, and loudness by up to 6 dB. */
export function standardWaveAugmentations(): readonly WaveAugmentation[] {
  return [speed(), gain()];
}

/** The standard ones, and pink noise at 10 to 30 dB behind half of the clips. */
export function strongWaveAugmentations(): readonly WaveAugmentation[] {
  return [...standardWaveAugmentations(), noise()];
}

/** Presets by the names that settings have for them. A Map, for the name comes from a user. */
export const waveAugmentationPresets: ReadonlyMap<string, readonly WaveAugmentation[]> = new Map([
  ['none', []],
  ['standard', standardWaveAugmentations()],
  ['strong', strongWaveAugmentations()],
]);

const names = [...waveAugmentationPresets.keys()];

/** `--set augment=standard`. */
export const waveAugmentSetting: SettingRow<readonly WaveAugmentation[]> = {
  kind: 'choice',
  of: names,
  to: (name) => waveAugmentationPresets.get(name),
  description: `Random changes of the sound in training: ${names.join(', ')}; none by default.`,
};
