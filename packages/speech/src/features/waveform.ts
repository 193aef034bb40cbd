/** @file Sound as wav2vec2 and its kin take it: the samples themselves, normalised and padded. */

import { OnnxLoraError, float32, tensor, type Feeds } from '@onnx-lora/sdk';

/** Keeps silence from being divided by zero. */
const EPSILON = 1e-7;

/** Zero mean and unit variance over all of `samples`: (x − mean) / √(variance + 1e-7), the variance divided by n. */
export function normalise(samples: Float32Array): Float32Array {
  const result = samples.slice();
  normaliseInPlace(result);
  return result;
}

function normaliseInPlace(samples: Float32Array): void {
  // Loops, since half a minute has half a million samples.
  let sum = 0;
  for (let i = 0; i < samples.length; i++) sum += samples[i]!;
  const mean = sum / samples.length;
  let squares = 0;
  for (let i = 0; i < samples.length; i++) squares += (samples[i]! - mean) ** 2;
  const scale = 1 / Math.sqrt(squares / samples.length + EPSILON);
  for (let i = 0; i < samples.length; i++) samples[i] = (samples[i]! - mean) * scale;
}

/** How clips of different length become one batch; the names in brackets are those of preprocessor_config.json. */
export interface WaveformBatchOptions {
  /** Normalise each clip (`do_normalize`). */
  readonly normalise: boolean;
  /** Give an `attention_mask`, and leave padding out of the normalisation (`return_attention_mask`). */
  readonly mask: boolean;
  /** Cut or pad every clip to this many samples, instead of padding to the longest. */
  readonly length?: number;
  /** What padding is filled with, 0 by default (`padding_value`). */
  readonly padding?: number;
}

/**
 * Feeds of one batch: `input_values` `[batch, samples]` and, if asked for, `attention_mask` `[batch, samples]`.
 * Without a mask the padding takes part in the normalisation, as it did when models such as wav2vec2-base were trained.
 *
 * @param clips mono clips at the model's rate, not yet normalised
 * @throws OnnxLoraError `INPUT_INVALID` for an empty batch or an empty clip
 */
export function batchWaveforms(clips: readonly Float32Array[], options: WaveformBatchOptions): Feeds {
  if (clips.length === 0 || clips.some((clip) => clip.length === 0)) {
    throw new OnnxLoraError('INPUT_INVALID', 'A batch of sound needs at least one clip, and every clip needs samples.');
  }
  const length = options.length ?? clips.reduce((max, clip) => Math.max(max, clip.length), 0);
  const values = new Float32Array(clips.length * length).fill(options.padding ?? 0);
  clips.forEach((whole, row) => {
    const clip = whole.subarray(0, length);
    const target = values.subarray(row * length, (row + 1) * length);
    target.set(clip);
    if (options.normalise) normaliseInPlace(options.mask ? target.subarray(0, clip.length) : target);
  });
  const dims = [clips.length, length];
  const input_values = float32(values, dims);
  if (!options.mask) return { input_values };
  const mask = new BigInt64Array(clips.length * length);
  clips.forEach((clip, row) => mask.fill(1n, row * length, row * length + Math.min(clip.length, length)));
  return { input_values, attention_mask: tensor('int64', mask, dims) };
}
