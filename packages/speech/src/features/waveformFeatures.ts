/** @file Wav2Vec2FeatureExtractor: the samples themselves, which wav2vec2, HuBERT, WavLM, Moonshine and others take. */

import { float32 } from '@onnx-lora/sdk';
import type { FeatureConfig } from './featureConfig.ts';
import type { ClipFeatures } from './featureExtractor.ts';
import { notFinite } from './filterBank.ts';
import { batchWaveforms } from './waveform.ts';

/**
 * What wav2vec2 is fed: `input_values` `[batch, samples]` of zero mean and unit variance if the file says so, and an
 * `attention_mask` of the same shape where the model knows one.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` when the file asks for what is not supported
 */
export function waveformFeatures(fields: FeatureConfig): ClipFeatures {
  const sampleRate = fields.integer('sampling_rate', 16_000, 1000, 48_000);
  fields.only('feature_size', 1);
  fields.only('padding_side', 'right');
  const options = {
    normalise: fields.flag('do_normalize', true),
    mask: fields.flag('return_attention_mask', false),
    padding: fields.number('padding_value', 0, -1, 1),
  };
  return {
    sampleRate,
    inputName: 'input_values',
    extract: (samples) => {
      if (!samples.every(Number.isFinite)) throw notFinite();
      return float32(samples, [samples.length]);
    },
    batch: (clips) =>
      batchWaveforms(
        clips.map(({ data }) => data as Float32Array),
        options,
      ),
  };
}
