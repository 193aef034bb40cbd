/** @file ASTFeatureExtractor: Kaldi's filter bank of a clip of fixed length. */

import { float32, stack } from '@onnx-lora/sdk';
import type { FeatureConfig } from './featureConfig.ts';
import type { ClipFeatures } from './featureExtractor.ts';
import { KALDI_RATE, KaldiFilterBank } from './kaldiFilterBank.ts';

/**
 * What the Audio Spectrogram Transformer is fed: `input_values` `[batch, frames, mels]`, `[1024, 128]` a clip for most, of mean
 * 0 and deviation 0.5 over the data it was trained on.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` when the file asks for what is not supported
 */
export function spectrogramFeatures(fields: FeatureConfig): ClipFeatures {
  fields.only('sampling_rate', KALDI_RATE);
  const mels = fields.integer('num_mel_bins', 128, 1, 256);
  const frames = fields.integer('max_length', 1024, 1, 6000);
  const doNormalise = fields.flag('do_normalize', true);
  const mean = doNormalise ? fields.number('mean', -4.2677393, -1e6, 1e6) : 0;
  const scale = doNormalise ? 1 / (2 * fields.number('std', 4.5689974, 1e-6, 1e6)) : 1;
  const maxSamples = KaldiFilterBank.samples(frames);
  const bank = new KaldiFilterBank(mels, 'hanning');
  return {
    sampleRate: KALDI_RATE,
    inputName: 'input_values',
    maxSamples,
    extract: (samples) => {
      const data = new Float32Array(frames * mels);
      // Padding is 0 before it is normalised.
      data.set(bank.features(samples.subarray(0, maxSamples)));
      for (let i = 0; i < data.length; i++) data[i] = (data[i]! - mean) * scale;
      return float32(data, [frames, mels]);
    },
    soundIn: (samples) => ({ timeAxis: 0, frames: Math.min(frames, KaldiFilterBank.frames(samples)) }),
    batch: (clips) => ({ input_values: stack(clips) }),
  };
}
