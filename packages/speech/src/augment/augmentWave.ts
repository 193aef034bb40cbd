/** @file Augmentations of audio as data, their presets, and how they are applied. */

import { applyAugmentations, augmentationPresets, type AugmentationPresets } from '@onnx-lora/sdk/data';
import type { SettingRow } from '@onnx-lora/sdk/plugin';
import { applyBackground, applyNoise, type Background, type Noise, noise } from './noise.ts';
import {
  applyGain,
  applySpeedPerturbation,
  type Gain,
  gain,
  type SpeedPerturbation,
  speedPerturbation,
} from './perturb.ts';
import { applyReverb, type Reverb } from './reverb.ts';

/** What is done to sound at random, as data: it can be sent to a thread. */
export type WaveAugmentation = Background | Gain | Noise | Reverb | SpeedPerturbation;

const kinds: Parameters<typeof applyAugmentations<Float32Array, WaveAugmentation, [sampleRate: number]>>[0] = {
  background: applyBackground,
  gain: applyGain,
  noise: applyNoise,
  reverb: applyReverb,
  'speed-perturbation': applySpeedPerturbation,
};

/**
 * Applies augmentations to a clip `[samples]` one after the other. The same seed gives the same samples, bit for bit; `samples`
 * itself stays as it is. Nothing is clipped: samples may lie beyond [-1, 1].
 *
 * @param seed a whole number; `drawSeed` makes one for each draw of a run
 * @throws OnnxLoraError `CONFIG_INVALID` for data that is no augmentation
 */
export function augmentWave(
  samples: Float32Array,
  sampleRate: number,
  augmentations: readonly WaveAugmentation[],
  seed: number,
): Float32Array {
  return applyAugmentations(kinds, samples, augmentations, seed, sampleRate);
}

/** Speeds of 0.9, 1 and 1.1, as models of speech have been trained with since Ko et al. 2015, and loudness by up to 6 dB. */
export function standardWaveAugmentations(): readonly WaveAugmentation[] {
  return [speedPerturbation(), gain()];
}

/** The standard ones, and pink noise at 10 to 30 dB behind half of the clips. */
export function strongWaveAugmentations(): readonly WaveAugmentation[] {
  return [...standardWaveAugmentations(), noise()];
}

const presets = augmentationPresets<WaveAugmentation>('sound', {
  none: [],
  standard: standardWaveAugmentations(),
  strong: strongWaveAugmentations(),
});

/** Presets by the names that the setting has for them. */
export const waveAugmentationPresets: AugmentationPresets<WaveAugmentation>['byName'] = presets.byName;

/** `--set augment=standard`. */
export const waveAugmentSetting: SettingRow<readonly WaveAugmentation[]> = presets.setting;
