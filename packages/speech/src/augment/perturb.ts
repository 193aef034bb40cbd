/** @file Gain, speed perturbation, and reverberation by convolution with impulse responses. */

import {
  type AugmentationOptions,
  badSetting,
  checkRange,
  checkShare,
  type Range,
  type Random,
} from '@onnx-lora/sdk/data';
import { resample } from '../audio/resample.ts';

/** A random gain. */
export interface Gain {
  readonly type: 'gain';
  /** Range in dB, uniform; −6 to 6 by default. 6 dB doubles the samples. */
  readonly decibels: Range;
  /** Probability, 0 to 1; 1 by default. */
  readonly probability: number;
}

/** Options of {@link gain}. */
export type GainOptions = AugmentationOptions<Gain>;

/**
 * Multiplies the samples by `10^(decibels / 20)`.
 * @throws OnnxLoraError `CONFIG_INVALID` for invalid settings
 */
export function gain({ decibels = [-6, 6], probability = 1 }: GainOptions = {}): Gain {
  return {
    type: 'gain',
    decibels: checkRange('decibels', decibels, -60, 60),
    probability: checkShare('probability', probability),
  };
}

/** Applies {@link gain}. */
export function applyGain(samples: Float32Array, { decibels }: Gain, random: Random): Float32Array {
  const factor = 10 ** (random.uniform(...decibels) / 20);
  return samples.map((sample) => sample * factor);
}

/** A random speed, which changes the pitch too. */
export interface SpeedPerturbation {
  readonly type: 'speed-perturbation';
  /** Speeds, equally likely; 1.1 is a tenth faster. 0.9, 1 and 1.1 by default. */
  readonly factors: readonly number[];
  /** Probability, 0 to 1; 1 by default. */
  readonly probability: number;
}

/** Options of {@link speedPerturbation}. */
export type SpeedPerturbationOptions = AugmentationOptions<SpeedPerturbation>;

const PARTS = 1000;

/**
 * Resamples the clip to `ceil(samples / factor)` samples, which changes the pitch too.
 * @throws OnnxLoraError `CONFIG_INVALID` for factors that are not between 0.5 and 2
 * @see https://www.danielpovey.com/files/2015_interspeech_augmentation.pdf Ko et al., "Audio augmentation for speech recognition"
 */
export function speedPerturbation({
  factors = [0.9, 1, 1.1],
  probability = 1,
}: SpeedPerturbationOptions = {}): SpeedPerturbation {
  if (factors.length === 0 || !factors.every((factor) => factor >= 0.5 && factor <= 2)) {
    throw badSetting('factors', 'one or more numbers from 0.5 to 2', factors);
  }
  return { type: 'speed-perturbation', factors, probability: checkShare('probability', probability) };
}

/** Applies {@link speedPerturbation}. */
export function applySpeedPerturbation(
  samples: Float32Array,
  { factors }: SpeedPerturbation,
  random: Random,
): Float32Array {
  return resample(samples, Math.round(factors[random.index(factors.length)]! * PARTS), PARTS);
}

/** A room's reverberation. */
export interface Reverb {
  readonly type: 'reverb';
  /** Impulse responses `[samples]` at the rate of the sound: see `loadClips`. */
  readonly responses: readonly Float32Array[];
  /** Probability, 0 to 1; 0.5 by default. */
  readonly probability: number;
}

/** Options of {@link reverb}. */
export type ReverbOptions = Pick<Reverb, 'responses'> & AugmentationOptions<Reverb>;

/**
 * Convolves the clip with an impulse response, normalised to energy 1 and cut to begin at its peak, the direct sound.
 * The clip keeps its length.
 * @throws OnnxLoraError `CONFIG_INVALID` for no response, or a silent one
 * @see https://www.danielpovey.com/files/2017_icassp_reverberation.pdf Ko et al., "A study on data augmentation of
 *   reverberant speech"
 */
export function reverb({ responses, probability = 0.5 }: ReverbOptions): Reverb {
  if (responses.length === 0 || responses.some((response) => response.every((sample) => sample === 0))) {
    throw badSetting('responses', 'one or more impulse responses that are not silent', responses.length);
  }
  return {
    type: 'reverb',
    responses: responses.map(fromPeak),
    probability: checkShare('probability', probability),
  };
}

/** Applies {@link reverb}. */
export function applyReverb(samples: Float32Array, { responses }: Reverb, random: Random): Float32Array {
  return convolve(samples, responses[random.index(responses.length)]!);
}

function fromPeak(response: Float32Array): Float32Array {
  let peak = 0;
  for (let i = 1; i < response.length; i++) if (Math.abs(response[i]!) > Math.abs(response[peak]!)) peak = i;
  const rest = response.subarray(peak);
  const norm = Math.sqrt(rest.reduce((sum, sample) => sum + sample * sample, 0));
  return rest.map((sample) => sample / norm);
}

/** The first `samples.length` values of a convolution, by overlap-add in the frequency domain. */
export function convolve(samples: Float32Array, response: Float32Array): Float32Array {
  const taps = response.subarray(0, samples.length);
  if (taps.length === 0) return samples;
  const size = 2 ** Math.ceil(Math.log2(Math.max(256, 4 * taps.length)));
  const block = size - taps.length + 1;
  const fourier = new Fourier(size);
  const filter = fourier.forward(taps, new Float32Array(0));
  const result = new Float64Array(samples.length + size);
  // Both are real, so one transform takes two blocks: real and imaginary part.
  for (let at = 0; at < samples.length; at += 2 * block) {
    const first = samples.subarray(at, at + block);
    const { re, im } = fourier.forward(first, samples.subarray(at + block, at + 2 * block));
    for (let k = 0; k < size; k++) {
      const [a, b] = [re[k]!, im[k]!];
      re[k] = a * filter.re[k]! - b * filter.im[k]!;
      im[k] = a * filter.im[k]! + b * filter.re[k]!;
    }
    // Swapping the parts inverts the transform, up to the factor size.
    fourier.transform(im, re);
    for (let k = 0; k < size && at + k < result.length; k++) result[at + k]! += re[k]! / size;
    for (let k = 0; k < size && at + block + k < result.length; k++) result[at + block + k]! += im[k]! / size;
  }
  return Float32Array.from(result.subarray(0, samples.length));
}

interface Complex {
  readonly re: Float64Array;
  readonly im: Float64Array;
}

/** The FFT X[k] = Σ x[n]·exp(−2πi·k·n/size), for powers of two (Cooley and Tukey). */
class Fourier {
  readonly #size: number;
  readonly #cos: Float64Array;
  readonly #sin: Float64Array;

  constructor(size: number) {
    this.#size = size;
    this.#cos = Float64Array.from({ length: size / 2 }, (_, i) => Math.cos((2 * Math.PI * i) / size));
    this.#sin = Float64Array.from({ length: size / 2 }, (_, i) => -Math.sin((2 * Math.PI * i) / size));
  }

  forward(real: Float32Array, imaginary: Float32Array): Complex {
    const re = new Float64Array(this.#size);
    const im = new Float64Array(this.#size);
    re.set(real);
    im.set(imaginary);
    this.transform(re, im);
    return { re, im };
  }

  transform(re: Float64Array, im: Float64Array): void {
    const size = this.#size;
    for (let i = 1, j = 0; i < size; i++) {
      let bit = size >> 1;
      for (; j & bit; bit >>= 1) j ^= bit;
      j ^= bit;
      if (i < j) {
        [re[i], re[j]] = [re[j]!, re[i]!];
        [im[i], im[j]] = [im[j]!, im[i]!];
      }
    }
    for (let half = 1; half < size; half *= 2) {
      const turn = size / (2 * half);
      for (let start = 0; start < size; start += 2 * half) {
        for (let k = 0; k < half; k++) {
          const [even, odd] = [start + k, start + half + k];
          const [c, s] = [this.#cos[k * turn]!, this.#sin[k * turn]!];
          const tr = re[odd]! * c - im[odd]! * s;
          const ti = re[odd]! * s + im[odd]! * c;
          re[odd] = re[even]! - tr;
          im[odd] = im[even]! - ti;
          re[even] = re[even]! + tr;
          im[even] = im[even]! + ti;
        }
      }
    }
  }
}
