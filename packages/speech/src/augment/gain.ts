/** @file Makes sound louder or softer. */

import { checkRange, checkShare, type Range } from '@onnx-lora/sdk/data';
import type { Random } from '@onnx-lora/sdk/core';

/** Another loudness. */
export interface Gain {
  readonly type: 'gain';
  /** Lowest and highest change, in dB. */
  readonly decibels: Range;
  /** How often, from 0 to 1. */
  readonly probability: number;
}

/** Options of {@link gain}. */
export interface GainOptions {
  /** Lowest and highest change in dB, evenly drawn; −6 to 6 by default. 6 dB doubles the samples. */
  readonly decibels?: Range;
  /** How often, from 0 to 1; always by default. */
  readonly probability?: number;
}

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

/** Changes the loudness or not, as the dice fall. */
export function applyGain(samples: Float32Array, { decibels, probability }: Gain, random: Random): Float32Array {
  if (random.next() >= probability) return samples;
  const factor = 10 ** (random.uniform(...decibels) / 20);
  return samples.map((sample) => sample * factor);
}
