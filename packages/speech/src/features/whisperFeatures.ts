/** @file WhisperFeatureExtractor: the log-mel spectrogram of a clip of fixed length. */

import { float32, stack } from '@onnx-lora/sdk';
import type { FeatureConfig } from './featureConfig.ts';
import type { ClipFeatures } from './featureExtractor.ts';
import { isTransformable } from './fourierPlan.ts';
import { LogMel } from './logMel.ts';
import { normalise } from './waveform.ts';

/**
 * What Whisper is fed: `input_features` `[batch, mels, frames]`, `[80, 3000]` a clip for most. Every clip is cut or padded with
 * silence to `chunk_length` seconds.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` when the file asks for what is not supported
 */
export function whisperFeatures(fields: FeatureConfig): ClipFeatures {
  const sampleRate = fields.integer('sampling_rate', 16_000, 16_000, 48_000);
  const frameLength = fields.integer('n_fft', 400, 16, 4096);
  if (!isTransformable(frameLength)) {
    throw fields.invalid('n_fft', 'a multiple of 4 that no prime but 2 and 5 divides');
  }
  const seconds = fields.integer('chunk_length', 30, 1, 60);
  const doNormalise = fields.flag('do_normalize', false);
  fields.only('padding_value', 0);
  fields.only('padding_side', 'right');
  fields.only('dither', 0);
  const mels = fields.integer('feature_size', 80, 1, 256);
  const hop = fields.integer('hop_length', 160, 40, frameLength);
  const length = seconds * sampleRate;
  const logMel = new LogMel({ sampleRate, mels, frameLength, hop, length });
  return {
    sampleRate,
    inputName: 'input_features',
    maxSamples: length,
    extract: (samples) => {
      const heard = samples.subarray(0, length);
      return float32(logMel.features(doNormalise ? normalise(heard) : heard), [mels, logMel.frames]);
    },
    soundIn: (samples) => ({ timeAxis: 1, frames: Math.min(Math.ceil(samples / hop), logMel.frames) }),
    batch: (clips) => ({ input_features: stack(clips) }),
  };
}
