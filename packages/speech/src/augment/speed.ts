/** @file Plays sound faster or slower. */

import { badSetting, checkShare } from '@onnx-lora/sdk/data';
import type { Random } from '@onnx-lora/sdk/core';
import { resample } from '../audio/resample.ts';

/** Another speed, and with it another pitch. */
export interface Speed {
  readonly type: 'speed';
  /** One of these is drawn, each as often: 1.1 is a tenth faster. */
  readonly factors: readonly number[];
  /** How often, from 0 to 1. */
  readonly probability: number;
}

/** Options of {@link speed}. */
export interface SpeedOptions {
  /** One of these is drawn, each as often: 1.1 is a tenth faster. 0.9, 1 and 1.1 by default. */
  readonly factors?: readonly number[];
  /** How often, from 0 to 1; always by default. */
  readonly probability?: number;
}

/** Factors are exact to this part. */
const PARTS = 1000;

/**
 * Speed perturbation: the clip resampled, so that it becomes `ceil(samples / factor)` long and its pitch changes too.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for factors that are not between 0.5 and 2
 * @see https://www.danielpovey.com/files/2015_interspeech_augmentation.pdf Ko et al., "Audio augmentation for speech recognition"
 */
export function speed({ factors = [0.9, 1, 1.1], probability = 1 }: SpeedOptions = {}): Speed {
  if (factors.length === 0 || !factors.every((factor) => factor >= 0.5 && factor <= 2)) {
    throw badSetting('factors', 'one or more numbers from 0.5 to 2', factors);
  }
  return { type: 'speed', factors, probability: checkShare('probability', probability) };
}

/** Changes the speed or not, as the dice fall. */
export function applySpeed(samples: Float32Array, { factors, probability }: Speed, random: Random): Float32Array {
  if (random.next() >= probability) return samples;
  return resample(samples, Math.round(factors[random.index(factors.length)]! * PARTS), PARTS);
}
