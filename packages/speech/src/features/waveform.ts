/** @file wav2vec2's features: samples, normalised and padded. */

import { OnnxLoraError, float32, tensor, type Feeds } from '@onnx-lora/sdk';

const EPSILON = 1e-7;

/** Normalises `samples`: (x − mean) / √(variance + 1e-7), the variance divided by n. */
export function normalise(samples: Float32Array): Float32Array {
  const result = samples.slice();
  normaliseInPlace(result);
  return result;
}

function normaliseInPlace(samples: Float32Array): void {
  // Loops, because half a minute has half a million samples.
  let sum = 0;
  for (let i = 0; i < samples.length; i++) sum += samples[i]!;
  const mean = sum / samples.length;
  let squares = 0;
  for (let i = 0; i < samples.length; i++) squares += (samples[i]! - mean) ** 2;
  const scale = 1 / Math.sqrt(squares / samples.length + EPSILON);
  for (let i = 0; i < samples.length; i++) samples[i] = (samples[i]! - mean) * scale;
}

/** Batching of clips of different length, with preprocessor_config.json's names in brackets. */
export interface WaveformBatchOptions {
  /** Normalises each clip (`do_normalize`). */
  readonly normalise: boolean;
  /** Returns an `attention_mask`, and excludes padding from the normalisation (`return_attention_mask`). */
  readonly mask: boolean;
  /** Pads or cuts clips to this many samples instead of the longest. */
  readonly length?: number;
  /** Padding value; 0 by default (`padding_value`). */
  readonly padding?: number;
}

/**
 * Feeds of a batch: `input_values` `[batch, samples]` and optionally `attention_mask` `[batch, samples]`. Without a
 * mask, padding is included in the normalisation, as in the training of models such as wav2vec2-base.
 * @param clips mono clips at the model's rate, not normalised
 * @throws OnnxLoraError `INPUT_INVALID` for an empty batch or clip
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
