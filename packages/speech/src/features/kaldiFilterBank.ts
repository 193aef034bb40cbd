/** @file Kaldi's filter bank, as AST and w2v-BERT are fed. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { FilterBank, type FilterBankTarget } from './filterBank.ts';

/** Hz of the samples; frames of 25 ms every 10 ms. */
export const KALDI_RATE = 16_000;
const [FRAME, FFT, HOP] = [400, 512, 160];
const LOWEST = 20;
const PREEMPHASIS = 0.97;
/** The least power, float32's epsilon, as torchaudio has it. */
const FLOOR = 2 ** -23;

/** The windows that models are trained with: Hann's, and Povey's, which is Hann's to the power of 0.85. */
export type KaldiWindow = 'hanning' | 'povey';

/**
 * Kaldi's log filter bank of 16 kHz sound, without dither: of each frame that fits into the clip, the mean is taken off and high
 * tones are emphasised.
 *
 * @see https://kaldi-asr.org/doc/feat.html
 */
export class KaldiFilterBank {
  readonly #bank: FilterBank;

  /** @param scale what samples are multiplied by: 32768 for models that were trained on 16-bit integers */
  constructor(mels: number, window: KaldiWindow, scale: number = 1) {
    const exponent = window === 'hanning' ? 1 : 0.85;
    this.#bank = new FilterBank({
      frameLength: FRAME,
      fftLength: FFT,
      hop: HOP,
      // Symmetric: its last sample is 0 as its first. All up to here is linear, so that the scale may come with it.
      window: Float64Array.from(
        { length: FRAME },
        (_, i) => scale * (0.5 - 0.5 * Math.cos((2 * Math.PI * i) / (FRAME - 1))) ** exponent,
      ),
      filters: kaldiFilters(FFT / 2 + 1, mels, KALDI_RATE, LOWEST, KALDI_RATE / 2),
      floor: FLOOR,
      emphasis: PREEMPHASIS,
    });
  }

  /** Frames of a clip of so many samples. */
  static frames(samples: number): number {
    return Math.max(0, Math.floor((samples - FRAME) / HOP) + 1);
  }

  /** Samples of a clip of so many frames. */
  static samples(frames: number): number {
    return (frames - 1) * HOP + FRAME;
  }

  /**
   * Natural logarithms `[frames, mels]`.
   *
   * @param least frames that the model needs
   * @throws OnnxLoraError `INPUT_INVALID` where the clip has fewer, or samples are not finite
   */
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

/**
 * Triangular filters of height 1 whose flanks are straight on the mel scale 1127 · ln(1 + f / 700), row-major `[bins, mels]`. Bin
 * k stands for `k · sampleRate / 2 / (bins - 1)` Hz.
 */
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
