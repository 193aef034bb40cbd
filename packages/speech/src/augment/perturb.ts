/** @file Changes of loudness and of speed. */

import {
  type AugmentationOptions,
  badSetting,
  checkRange,
  checkShare,
  type Range,
  type Random,
} from '@onnx-lora/sdk/data';
import { resample } from '../audio/resample.ts';

/** Another loudness. */
export interface Gain {
  readonly type: 'gain';
  /** Lowest and highest change in dB, evenly drawn; −6 to 6 by default. 6 dB doubles the samples. */
  readonly decibels: Range;
  /** How often, from 0 to 1; always by default. */
  readonly probability: number;
}

/** Options of {@link gain}. */
export type GainOptions = AugmentationOptions<Gain>;

/**
 * Multiplies the samples by `10^(decibels / 20)`.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for settings that make no sense
 */
export function gain({ decibels = [-6, 6], probability = 1 }: GainOptions = {}): Gain {
  return {
    type: 'gain',
    decibels: checkRange('decibels', decibels, -60, 60),
    probability: checkShare('probability', probability),
  };
}

/** Changes the loudness by as much as is drawn. */
export function applyGain(samples: Float32Array, { decibels }: Gain, random: Random): Float32Array {
  const factor = 10 ** (random.uniform(...decibels) / 20);
  return samples.map((sample) => sample * factor);
}

/** Another speed, and with it another pitch. */
export interface SpeedPerturbation {
  readonly type: 'speed-perturbation';
  /** One of these is drawn, each as often: 1.1 is a tenth faster. 0.9, 1 and 1.1 by default. */
  readonly factors: readonly number[];
  /** How often, from 0 to 1; always by default. */
  readonly probability: number;
}

/** Options of {@link speedPerturbation}. */
export type SpeedPerturbationOptions = AugmentationOptions<SpeedPerturbation>;

/** Factors are exact to this part. */
const PARTS = 1000;

/**
 * Speed perturbation: the clip resampled, so that it becomes `ceil(samples / factor)` long and its pitch changes too.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for factors that are not between 0.5 and 2
 * @see https://www.danielpovey.com/files/2015_interspeech_augmentation.pdf Ko et al., "Audio augmentation for speech recognition"
 */
export function speedPerturbation({
  factors = [0.9, 1, 1.1],
  probability = 1,
}: SpeedPerturbationOptions = {}): SpeedPerturbation {
  if (factors.length === 0 || !factors.every((factor) => factor >= 0.5 && factor <= 2)) {
    throw badSetting('factors', 'one or more numbers from 0.5 to 2', factors);
  }
  return { type: 'speed-perturbation', factors, probability: checkShare('probability', probability) };
}

/** Changes the speed to the one that is drawn. */
export function applySpeedPerturbation(
  samples: Float32Array,
  { factors }: SpeedPerturbation,
  random: Random,
): Float32Array {
  return resample(samples, Math.round(factors[random.index(factors.length)]! * PARTS), PARTS);
}
