/** @file Kaldi's filter banks, and stacked features. */

import { type Feeds, float32, int64, OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import type { ConfigFields } from '@onnx-lora/sdk/data';
import type { ClipFeatures } from './featureExtractor.ts';
import { FilterBank, type FilterBankTarget } from './filterBank.ts';

/** Hz; frames of 25 ms every 10 ms. */
export const KALDI_RATE = 16_000;
const [FRAME, FFT, HOP] = [400, 512, 160];
const LOWEST = 20;
const PREEMPHASIS = 0.97;
/** Lower bound of an energy: float32's epsilon, as in torchaudio. */
const FLOOR = 2 ** -23;

/** Hann's window, or Povey's, which is Hann's to the power of 0.85. */
type KaldiWindow = 'hanning' | 'povey';

/** Kaldi's log filter bank at 16 kHz without dither, of whole frames. @see https://kaldi-asr.org/doc/feat.html */
export class KaldiFilterBank {
  readonly #bank: FilterBank;

  /** @param scale factor for samples: 32768 for models trained on 16-bit integers */
  constructor(mels: number, window: KaldiWindow, scale: number = 1) {
    const exponent = window === 'hanning' ? 1 : 0.85;
    this.#bank = new FilterBank({
      frameLength: FRAME,
      fftLength: FFT,
      hop: HOP,
      // Symmetric, unlike the periodic window. Everything before is linear, so the scale is folded in.
      window: Float64Array.from(
        { length: FRAME },
        (_, i) => scale * (0.5 - 0.5 * Math.cos((2 * Math.PI * i) / (FRAME - 1))) ** exponent,
      ),
      filters: kaldiFilters(FFT / 2 + 1, mels, KALDI_RATE, LOWEST, KALDI_RATE / 2),
      floor: FLOOR,
      emphasis: PREEMPHASIS,
    });
  }

  static frames(samples: number): number {
    return Math.max(0, Math.floor((samples - FRAME) / HOP) + 1);
  }

  static samples(frames: number): number {
    return (frames - 1) * HOP + FRAME;
  }

  /** Natural logarithms `[frames, mels]`. @throws OnnxLoraError `INPUT_INVALID` for less than `least` frames, or NaN */
  features(samples: Float32Array, least: number = 1): Float32Array {
    const frames = KaldiFilterBank.frames(samples.length);
    if (frames < least) {
      throw new OnnxLoraError(
        'INPUT_INVALID',
        `A clip of ${samples.length} samples is too short: the model hears ${KaldiFilterBank.samples(least)} at a time. Leave it out.`,
      );
    }
    const { count } = this.#bank;
    const target: FilterBankTarget = { data: new Float32Array(frames * count), filterStep: 1, frameStep: count };
    this.#bank.write(
      frames,
      (block, start) => {
        const heard = samples.subarray(start, start + block.length);
        block.set(heard);
        block.fill(0, heard.length);
      },
      target,
    );
    return target.data;
  }
}

/** Triangular mel filters of height 1, row-major `[bins, mels]`. Bin k is `k · sampleRate / 2 / (bins - 1)` Hz. */
export function kaldiFilters(
  bins: number,
  mels: number,
  sampleRate: number,
  lowest: number,
  highest: number,
): Float64Array {
  const toMel = (hertz: number): number => 1127 * Math.log(1 + hertz / 700);
  const [bottom, top] = [toMel(lowest), toMel(highest)];
  const width = (top - bottom) / (mels + 1);
  return Float64Array.from({ length: bins * mels }, (_, i) => {
    const bin = Math.floor(i / mels);
    const distance = toMel((bin * sampleRate) / 2 / (bins - 1)) - bottom - width * (i % mels);
    return Math.max(0, Math.min(distance / width, 2 - distance / width));
  });
}

const EPSILON = 1e-7;
const SCALE = 2 ** 15;

/**
 * w2v-BERT's features: `input_features` `[batch, frames / stride, stride · mels]`, each mel normalised over the clip,
 * and an `attention_mask` `[batch, frames / stride]`.
 * @throws OnnxLoraError `CONFIG_INVALID` for unsupported fields
 */
export function stackedFeatures(fields: ConfigFields): ClipFeatures {
  fields.fixed('sampling_rate', KALDI_RATE);
  fields.fixed('padding_side', 'right');
  const mels = fields.integer('num_mel_bins', 1, 256) ?? 80;
  const stride = fields.integer('stride', 2, 16) ?? 2;
  const padding = fields.number('padding_value', -1e6, 1e6) ?? 0;
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

/** Normalises every `step`-th value from `first` to zero mean and unit variance (divided by n − 1). */
function normaliseColumn(data: Float32Array, first: number, step: number, count: number): void {
  let mean = 0;
  for (let i = first; i < data.length; i += step) mean += data[i]! / count;
  let variance = 0;
  for (let i = first; i < data.length; i += step) variance += (data[i]! - mean) ** 2 / (count - 1);
  const scale = 1 / Math.sqrt(variance + EPSILON);
  for (let i = first; i < data.length; i += step) data[i] = (data[i]! - mean) * scale;
}

/** Pads clips `[frames, mels]` to the longest and stacks `stride` frames; an incomplete stack is dropped. */
function stackFrames(clips: readonly Tensor[], stride: number, padding: number): Feeds {
  const longest = clips.reduce((most, { dims }) => Math.max(most, dims[0]!), 0);
  // transformers pads to an even number of frames for any stride.
  const rows = Math.floor((Math.ceil(longest / 2) * 2) / stride);
  const [first] = clips;
  if (!first) throw new OnnxLoraError('INPUT_INVALID', 'A batch of sound needs at least one clip.');
  const mels = first.dims[1]!;
  const width = stride * mels;
  const values = new Float32Array(clips.length * rows * width).fill(padding);
  const mask: number[] = [];
  clips.forEach(({ data, dims: [frames = 0] }, clip) => {
    values.set((data as Float32Array).subarray(0, rows * width), clip * rows * width);
    // The second frame of a stack gives its mask.
    for (let row = 0; row < rows; row++) mask.push(row * stride + 1 < frames ? 1 : 0);
  });
  return {
    input_features: float32(values, [clips.length, rows, width]),
    attention_mask: int64(mask, [clips.length, rows]),
  };
}
