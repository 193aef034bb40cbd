/** @file Adds noise that is made here. */

import { badSetting, checkRange, checkShare, type Range } from '@onnx-lora/sdk/data';
import type { Random } from '@onnx-lora/sdk/core';
import { mixNoise } from './mixNoise.ts';

/** Noise of equal power at every frequency (white) or in every octave (pink), as rooms and lines have it. */
export type NoiseColor = 'white' | 'pink';

/** Added noise. */
export interface Noise {
  readonly type: 'noise';
  /** How the noise's power is spread over frequencies. */
  readonly color: NoiseColor;
  /** Lowest and highest ratio of the clip's power to the noise's, in dB. */
  readonly snr: Range;
  /** How often, from 0 to 1. */
  readonly probability: number;
}

/** Options of {@link noise}. */
export interface NoiseOptions {
  /** `pink` by default. */
  readonly color?: NoiseColor;
  /** Lowest and highest ratio of the clip's power to the noise's in dB, evenly drawn; 10 to 30 by default. */
  readonly snr?: Range;
  /** How often, from 0 to 1; half of the draws by default. */
  readonly probability?: number;
}

/**
 * Adds Gaussian noise at a ratio that is drawn. Silent clips stay silent.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for settings that make no sense
 */
export function noise({ color = 'pink', snr = [10, 30], probability = 0.5 }: NoiseOptions = {}): Noise {
  if (color !== 'pink' && color !== 'white') throw badSetting('color', 'white or pink', color);
  return {
    type: 'noise',
    color,
    snr: checkRange('snr', snr, -20, 100),
    probability: checkShare('probability', probability),
  };
}

/** Adds noise or not, as the dice fall. */
export function applyNoise(samples: Float32Array, { color, snr, probability }: Noise, random: Random): Float32Array {
  if (random.next() >= probability) return samples;
  const decibels = random.uniform(...snr);
  const white = new Float32Array(samples.length).map(() => random.normal());
  return mixNoise(samples, color === 'pink' ? pinked(white) : white, decibels);
}

/** Poles and weights of the filter below; the last three numbers in its body belong to it too. */
const POLES = [0.99886, 0.99332, 0.969, 0.8665, 0.55, -0.7616] as const;
const WEIGHTS = [0.0555179, 0.0750759, 0.153852, 0.3104856, 0.5329522, -0.016898] as const;

/**
 * White noise made pink by Paul Kellet's filter, which falls by 3 dB an octave within 0.05 dB from 10 Hz on at 44.1 kHz.
 *
 * @see https://www.firstpr.com.au/dsp/pink-noise/
 */
function pinked(white: Float32Array): Float32Array {
  const state = new Float64Array(POLES.length);
  let late = 0;
  return white.map((sample) => {
    let sum = late + sample * 0.5362;
    for (let i = 0; i < POLES.length; i++) {
      state[i] = POLES[i]! * state[i]! + WEIGHTS[i]! * sample;
      sum += state[i]!;
    }
    late = sample * 0.115926;
    return sum;
  });
}
