/** @file Adds recorded noise. */

import { badSetting, checkRange, checkShare, type Range } from '@onnx-lora/sdk/data';
import type { Random } from '@onnx-lora/sdk/core';
import { mixNoise } from './mixNoise.ts';

/** Recorded noise behind the clip. */
export interface Background {
  readonly type: 'background';
  /** Noise `[samples]`, each clip at the rate of what it is added to. */
  readonly clips: readonly Float32Array[];
  /** Lowest and highest ratio of the clip's power to the noise's, in dB. */
  readonly snr: Range;
  /** How often, from 0 to 1. */
  readonly probability: number;
}

/** Options of {@link background}. */
export interface BackgroundOptions {
  /** Noise `[samples]` at the rate of what it is added to: see `loadClips`. */
  readonly clips: readonly Float32Array[];
  /** Lowest and highest ratio of the clip's power to the noise's in dB, evenly drawn; 5 to 20 by default. */
  readonly snr?: Range;
  /** How often, from 0 to 1; half of the draws by default. */
  readonly probability?: number;
}

/**
 * Adds a piece, drawn from one of the recordings and repeated where it is too short, at a ratio that is drawn.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for settings that make no sense
 */
export function background({ clips, snr = [5, 20], probability = 0.5 }: BackgroundOptions): Background {
  if (clips.length === 0 || clips.some(({ length }) => length === 0)) {
    throw badSetting('clips', 'one or more recordings that are not empty', clips.length);
  }
  return {
    type: 'background',
    clips,
    snr: checkRange('snr', snr, -20, 100),
    probability: checkShare('probability', probability),
  };
}

/** Adds noise or not, as the dice fall. */
export function applyBackground(
  samples: Float32Array,
  { clips, snr, probability }: Background,
  random: Random,
): Float32Array {
  if (random.next() >= probability) return samples;
  const decibels = random.uniform(...snr);
  const clip = clips[random.index(clips.length)]!;
  // A short clip begins anywhere, for it goes round; a long one so that the piece fits.
  const from = random.index(clip.length > samples.length ? clip.length - samples.length + 1 : clip.length);
  const piece = new Float32Array(samples.length).map((_, i) => clip[(from + i) % clip.length]!);
  return mixNoise(samples, piece, decibels);
}
