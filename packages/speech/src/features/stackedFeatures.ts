/** @file SeamlessM4TFeatureExtractor: Kaldi's filter bank, of which two frames go together, as w2v-BERT is fed. */

import { float32, int64, OnnxLoraError, type Feeds, type Tensor } from '@onnx-lora/sdk';
import type { FeatureConfig } from './featureConfig.ts';
import type { ClipFeatures } from './featureExtractor.ts';
import { KALDI_RATE, KaldiFilterBank } from './kaldiFilterBank.ts';

/** Keeps what never changes from being divided by zero. */
const EPSILON = 1e-7;
/** Its models were trained on 16-bit integers. */
const SCALE = 2 ** 15;

/**
 * What w2v-BERT is fed: `input_features` `[batch, frames / stride, stride · mels]`, each mel of zero mean and unit variance over
 * the clip, and an `attention_mask` `[batch, frames / stride]`.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` when the file asks for what is not supported
 */
export function stackedFeatures(fields: FeatureConfig): ClipFeatures {
  fields.only('sampling_rate', KALDI_RATE);
  fields.only('padding_side', 'right');
  const mels = fields.integer('num_mel_bins', 80, 1, 256);
  const stride = fields.integer('stride', 2, 2, 16);
  const padding = fields.number('padding_value', 0, -1e6, 1e6);
  const bank = new KaldiFilterBank(mels, 'povey', SCALE);
  return {
    sampleRate: KALDI_RATE,
    inputName: 'input_features',
    extract: (samples) => {
      const data = bank.features(samples, stride);
      const frames = data.length / mels;
      for (let mel = 0; mel < mels; mel++) normaliseColumn(data, mel, mels, frames);
      return float32(data, [frames, mels]);
    },
    soundIn: (samples) => ({ timeAxis: 0, frames: KaldiFilterBank.frames(samples) }),
    batch: (clips) => stackFrames(clips, stride, padding),
  };
}

/** Every `step`-th value from `first` on gets zero mean and unit variance, which is divided by n − 1. */
function normaliseColumn(data: Float32Array, first: number, step: number, count: number): void {
  let mean = 0;
  for (let i = first; i < data.length; i += step) mean += data[i]! / count;
  let variance = 0;
  for (let i = first; i < data.length; i += step) variance += (data[i]! - mean) ** 2 / (count - 1);
  const scale = 1 / Math.sqrt(variance + EPSILON);
  for (let i = first; i < data.length; i += step) data[i] = (data[i]! - mean) * scale;
}

/** Clips `[frames, mels]` padded to the longest, `stride` frames side by side; the last few that are fewer are left out. */
function stackFrames(clips: readonly Tensor[], stride: number, padding: number): Feeds {
  const longest = clips.reduce((most, { dims }) => Math.max(most, dims[0]!), 0);
  // transformers pads to an even number of frames, whatever the stride.
  const rows = Math.floor((Math.ceil(longest / 2) * 2) / stride);
  const [first] = clips;
  if (!first) throw new OnnxLoraError('INPUT_INVALID', 'A batch of sound needs at least one clip.');
  const mels = first.dims[1]!;
  const width = stride * mels;
  const values = new Float32Array(clips.length * rows * width).fill(padding);
  const mask: number[] = [];
  clips.forEach(({ data, dims: [frames = 0] }, clip) => {
    values.set((data as Float32Array).subarray(0, rows * width), clip * rows * width);
    // The second of the frames that go together says whether they count.
    for (let row = 0; row < rows; row++) mask.push(row * stride + 1 < frames ? 1 : 0);
  });
  return {
    input_features: float32(values, [clips.length, rows, width]),
    attention_mask: int64(mask, [clips.length, rows]),
  };
}
