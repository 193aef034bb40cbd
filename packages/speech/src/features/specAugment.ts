/** @file SpecAugment: masks stretches of time and bands of frequency in training. */

import { OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import { Random } from '@onnx-lora/sdk/data';
import type { AudioFrames } from './featureExtractor.ts';

/** Sizes of masks, with transformers' names in config.json and its defaults for Whisper. */
export interface SpecAugmentOptions {
  /** Share of frames under time masks without overlaps (`mask_time_prob`); 0.05 by default. */
  readonly maskTimeProb?: number;
  /** Frames of one time mask (`mask_time_length`); 10 by default. */
  readonly maskTimeLength?: number;
  /** Least number of time masks (`mask_time_min_masks`); 2 by default. */
  readonly maskTimeMinMasks?: number;
  /** Share of mel bins under frequency masks without overlaps (`mask_feature_prob`); 0 by default. */
  readonly maskFeatureProb?: number;
  /** Mel bins of one frequency mask (`mask_feature_length`); 10 by default. */
  readonly maskFeatureLength?: number;
  /** Least number of frequency masks (`mask_feature_min_masks`); 0 by default. */
  readonly maskFeatureMinMasks?: number;
}

interface Masks {
  readonly prob: number;
  readonly length: number;
  readonly min: number;
}

/**
 * Masked features as in transformers: masks are zeros, start anywhere within the clip and may overlap; padding stays as
 * it is. A seed reproduces them.
 * @param features `[mels, frames]` or `[frames, mels]`, float32, left unchanged
 * @param sound the clip's extent, from the extractor's `soundIn`
 * @throws OnnxLoraError `INPUT_INVALID` for invalid options
 * @see D. S. Park et al., SpecAugment: A Simple Data Augmentation Method for Automatic Speech Recognition, 2019;
 *   transformers' `_compute_mask_indices`
 */
export function specAugment(features: Tensor, sound: AudioFrames, options: SpecAugmentOptions, seed: number): Tensor {
  const time = masksOf('maskTime', options.maskTimeProb ?? 0.05, options.maskTimeLength, options.maskTimeMinMasks ?? 2);
  const mel = masksOf(
    'maskFeature',
    options.maskFeatureProb ?? 0,
    options.maskFeatureLength,
    options.maskFeatureMinMasks,
  );
  const random = new Random(seed);
  const data = (features.data as Float32Array).slice();
  const [rows = 0, columns = 0] = features.dims;
  const [frameStep, melStep, mels] = sound.timeAxis === 0 ? [columns, 1, columns] : [1, columns, rows];
  const hide = (frame: number, bin: number): void => {
    data[frame * frameStep + bin * melStep] = 0;
  };
  for (const frame of hidden(sound.frames, time, random)) for (let bin = 0; bin < mels; bin++) hide(frame, bin);
  for (const bin of hidden(mels, mel, random)) for (let frame = 0; frame < sound.frames; frame++) hide(frame, bin);
  return { ...features, data };
}

function masksOf(name: string, prob: number, length: number = 10, min: number = 0): Masks {
  const isCount = (value: number, least: number): boolean => Number.isSafeInteger(value) && value >= least;
  if (prob >= 0 && prob <= 1 && isCount(length, 1) && isCount(min, 0)) return { prob, length, min };
  throw new OnnxLoraError(
    'INPUT_INVALID',
    `SpecAugment cannot hide ${prob} in at least ${min} masks of ${length}: ${name}Prob is a share from 0 to 1, ${name}Length a whole number above 0, ${name}MinMasks one from 0 on.`,
  );
}

/** Masked positions in 0 to `size − 1`, with repetitions. */
function hidden(size: number, { prob, length, min }: Masks, random: Random): number[] {
  // A share of 0 disables masks, whatever the least number.
  if (prob === 0) return [];
  const starts = size - length + 1;
  // Keeps the share on average: the remainder is the probability of one more mask.
  const wanted = Math.max(min, Math.floor((prob * size) / length + random.next()));
  const count = Math.max(0, Math.min(wanted, Math.floor(size / length), starts));
  return drawn(starts, count, random).flatMap((start) => Array.from({ length }, (_, i) => start + i));
}

/** A uniform sample of `count` different whole numbers below `end` (R. Floyd's method). */
function drawn(end: number, count: number, random: Random): number[] {
  const found = new Set<number>();
  for (let last = end - count; last < end; last++) {
    const pick = Math.floor(random.next() * (last + 1));
    found.add(found.has(pick) ? last : pick);
  }
  return [...found];
}
