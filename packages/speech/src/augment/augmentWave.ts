/** @file Audio augmentations as data, and their presets. */

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
  applyReverb,
  type Reverb,
} from './perturb.ts';

/** A random change of sound, as data that can be sent to a thread. */
export type WaveAugmentation = Background | Gain | Noise | Reverb | SpeedPerturbation;

const kinds: Parameters<typeof applyAugmentations<Float32Array, WaveAugmentation, [sampleRate: number]>>[0] = {
  background: applyBackground,
  gain: applyGain,
  noise: applyNoise,
  reverb: applyReverb,
  'speed-perturbation': applySpeedPerturbation,
};

/**
 * Applies augmentations to a clip `[samples]` in order, without changing `samples`. A seed reproduces the result bit
 * for bit. Samples are not clipped to [-1, 1].
 * @param seed a whole number; `drawSeed` makes one per draw
 * @throws OnnxLoraError `CONFIG_INVALID` for an unknown augmentation
 */
export function augmentWave(
  samples: Float32Array,
  sampleRate: number,
  augmentations: readonly WaveAugmentation[],
  seed: number,
): Float32Array {
  return applyAugmentations(kinds, samples, augmentations, seed, sampleRate);
}

/** Speeds of 0.9, 1 and 1.1 (Ko et al. 2015), and gains of up to 6 dB. */
export function standardWaveAugmentations(): readonly WaveAugmentation[] {
  return [speedPerturbation(), gain()];
}

/** The standard ones, and pink noise at 10 to 30 dB in half of the clips. */
export function strongWaveAugmentations(): readonly WaveAugmentation[] {
  return [...standardWaveAugmentations(), noise()];
}

const presets = augmentationPresets<WaveAugmentation>('sound', {
  none: [],
  standard: standardWaveAugmentations(),
  strong: strongWaveAugmentations(),
});

/** Presets by their names in the setting. */
export const waveAugmentationPresets: AugmentationPresets<WaveAugmentation>['byName'] = presets.byName;

/** `--set augment=standard`. */
export const waveAugmentSetting: SettingRow<readonly WaveAugmentation[]> = presets.setting;
