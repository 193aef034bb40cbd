/** @file Whisper's features: log-mel spectrograms. */

import { float32, stack } from '@onnx-lora/sdk';
import type { ConfigFields } from '@onnx-lora/sdk/data';
import type { ClipFeatures } from './featureExtractor.ts';
import { FilterBank, isTransformable } from './filterBank.ts';
import { normalise } from './waveform.ts';

/** Hz at which Slaney's scale turns from linear to logarithmic, and its mel. */
const BREAK_HERTZ = 1000;

const BREAK_MEL = 15;

/** Mels per natural-log unit above the break: 27 from 1 kHz to 6.4 kHz. */
const MELS_PER_LOG = 27 / Math.log(6.4);

/**
 * Triangular filters on Slaney's mel scale from 0 Hz to `maxFrequency`, each of area 1 ("slaney" scale and norm),
 * row-major `[bins, mels]`. Bin k is `k · sampleRate / 2 / (bins - 1)` Hz.
 * @see M. Slaney, Auditory Toolbox, 1998
 */
export function melFilters(bins: number, mels: number, sampleRate: number, maxFrequency: number): Float64Array {
  const top = toMel(maxFrequency);
  const edges = Array.from({ length: mels + 2 }, (_, i) => toHertz((top * i) / (mels + 1)));
  const filters = new Float64Array(bins * mels);
  for (let mel = 0; mel < mels; mel++) {
    const [low, centre, high] = [edges[mel]!, edges[mel + 1]!, edges[mel + 2]!];
    for (let bin = 0; bin < bins; bin++) {
      const hertz = (sampleRate / 2 / (bins - 1)) * bin;
      const height = Math.min((hertz - low) / (centre - low), (high - hertz) / (high - centre));
      filters[bin * mels + mel] = (Math.max(0, height) * 2) / (high - low);
    }
  }
  return filters;
}

function toMel(hertz: number): number {
  return hertz < BREAK_HERTZ ? (3 * hertz) / 200 : BREAK_MEL + Math.log(hertz / BREAK_HERTZ) * MELS_PER_LOG;
}

function toHertz(mel: number): number {
  return mel < BREAK_MEL ? (200 * mel) / 3 : BREAK_HERTZ * Math.exp((mel - BREAK_MEL) / MELS_PER_LOG);
}

/** Sizes of a log-mel spectrogram, with preprocessor_config.json's names in brackets. */
export interface LogMelOptions {
  /** Hz (`sampling_rate`). */
  readonly sampleRate: number;
  /** Mel bins (`feature_size`): 80, or 128 since Whisper large-v3. */
  readonly mels: number;
  /** Samples of a frame (`n_fft`): see `isTransformable`. */
  readonly frameLength: number;
  /** Samples between frames (`hop_length`). */
  readonly hop: number;
  /** Samples that clips are padded or cut to (`n_samples`): 30 s. */
  readonly length: number;
}

const FLOOR = 1e-10;
/** The highest frequency of Whisper's filters at any sample rate. */
const MAX_FREQUENCY = 8000;

/** Computes the input of Whisper's encoder. */
export class LogMel {
  /** Frames of the result: `length / hop`. */
  readonly frames: number;
  readonly #options: LogMelOptions;
  readonly #bank: FilterBank;

  /** Prepares window and filters for any number of clips. */
  constructor(options: LogMelOptions) {
    const { length, hop, frameLength, mels, sampleRate } = options;
    this.#options = options;
    this.frames = Math.floor(length / hop);
    this.#bank = new FilterBank({
      frameLength,
      fftLength: frameLength,
      hop,
      // The periodic Hann window: its period is frameLength, not frameLength - 1.
      window: Float64Array.from(
        { length: frameLength },
        (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / frameLength),
      ),
      filters: melFilters(frameLength / 2 + 1, mels, sampleRate, MAX_FREQUENCY),
      floor: FLOOR,
    });
  }

  /**
   * The features `[mels, frames]` of `samples`, padded with silence or cut to `length`: log10 of the mel powers,
   * clamped to their maximum minus 8, then (x + 4) / 4.
   * @throws OnnxLoraError `INPUT_INVALID` where samples are not finite
   * @see A. Radford et al., Robust Speech Recognition via Large-Scale Weak Supervision, 2022, section 2.2
   */
  features(samples: Float32Array): Float32Array {
    const { mels, frameLength, hop, length } = this.#options;
    const { frames } = this;
    const data = new Float32Array(mels * frames);
    // A short clip is mostly padding, with features at the floor.
    let last = Math.min(length, samples.length) - 1;
    while (last >= 0 && samples[last] === 0) last--;
    const heard = last < 0 ? 0 : Math.min(frames, Math.floor((last + frameLength / 2) / hop) + 1);
    const target = { data, filterStep: frames, frameStep: 1 };
    const peak = this.#bank.write(heard, (block, start) => this.#read(samples, block, start), target) * Math.LOG10E;
    const silence = Math.log10(FLOOR);
    const floor = Math.max(silence, peak) - 8;
    for (let row = 0; row < data.length; row += frames) {
      for (let i = row; i < row + heard; i++) data[i] = (Math.max(data[i]! * Math.LOG10E, floor) + 4) / 4;
      data.fill((Math.max(silence, floor) + 4) / 4, row + heard, row + frames);
    }
    return data;
  }

  /** Reads frames, centred on samples 0, `hop`, 2·`hop` …, with both ends mirrored. */
  #read(samples: Float32Array, block: Float32Array, start: number): void {
    const { length, frameLength } = this.#options;
    const first = start - frameLength / 2;
    const heard = samples.subarray(Math.max(0, first), Math.min(length, first + block.length));
    const at = Math.max(0, -first);
    block.set(heard, at);
    block.fill(0, at + heard.length);
    const mirror = (i: number, from: number): void => {
      block[i] = samples[from] ?? 0;
    };
    for (let i = 0; i < at; i++) mirror(i, at - i);
    for (let i = length - first; i < block.length; i++) mirror(i, 2 * (length - 1) - first - i);
  }
}

/**
 * Whisper's features: `input_features` `[batch, mels, frames]`, mostly `[80, 3000]` a clip, padded or cut to
 * `chunk_length` seconds.
 * @throws OnnxLoraError `CONFIG_INVALID` for unsupported fields
 */
export function whisperFeatures(fields: ConfigFields): ClipFeatures {
  const sampleRate = fields.integer('sampling_rate', 16_000, 48_000) ?? 16_000;
  const frameLength = fields.integer('n_fft', 16, 4096) ?? 400;
  if (!isTransformable(frameLength)) {
    throw fields.expected('n_fft', 'a multiple of 4 that no prime but 2 and 5 divides');
  }
  const seconds = fields.integer('chunk_length', 1, 60) ?? 30;
  const doNormalise = fields.boolean('do_normalize') ?? false;
  fields.fixed('padding_value', 0);
  fields.fixed('padding_side', 'right');
  fields.fixed('dither', 0);
  const mels = fields.integer('feature_size', 1, 256) ?? 80;
  const hop = fields.integer('hop_length', 40, frameLength) ?? 160;
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
