/** @file Lets audio ring as in a room, by convolution with impulse responses. */

import { type AugmentationOptions, badSetting, checkShare, type Random } from '@onnx-lora/sdk/data';

/** The echoes of a room. */
export interface Reverb {
  readonly type: 'reverb';
  /** Impulse responses `[samples]` at the rate of what they are applied to: see `loadClips`. */
  readonly responses: readonly Float32Array[];
  /** How often, from 0 to 1; half of the draws by default. */
  readonly probability: number;
}

/** Options of {@link reverb}. */
export type ReverbOptions = Pick<Reverb, 'responses'> & AugmentationOptions<Reverb>;

/**
 * Convolves the clip with one of the impulse responses, which begins at its highest peak, the direct sound, and has the energy 1.
 * The clip keeps its length.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for a response that is silent, or none
 * @see https://www.danielpovey.com/files/2017_icassp_reverberation.pdf Ko et al., "A study on data augmentation of reverberant speech"
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

/** Adds the echoes. */
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

/**
 * The first `samples.length` values of the convolution of `samples` with `response`. Blocks of the samples are transformed,
 * multiplied and overlapped (overlap-add), so the time is that of the samples, not of their product with the response.
 */
export function convolve(samples: Float32Array, response: Float32Array): Float32Array {
  const taps = response.subarray(0, samples.length);
  if (taps.length === 0) return samples;
  const size = 2 ** Math.ceil(Math.log2(Math.max(256, 4 * taps.length)));
  const block = size - taps.length + 1;
  const fourier = new Fourier(size);
  const filter = fourier.forward(taps, new Float32Array(0));
  const result = new Float64Array(samples.length + size);
  // Both are real, so two blocks go through one transform: one as the real part, one as the imaginary.
  for (let at = 0; at < samples.length; at += 2 * block) {
    const first = samples.subarray(at, at + block);
    const { re, im } = fourier.forward(first, samples.subarray(at + block, at + 2 * block));
    for (let k = 0; k < size; k++) {
      const [a, b] = [re[k]!, im[k]!];
      re[k] = a * filter.re[k]! - b * filter.im[k]!;
      im[k] = a * filter.im[k]! + b * filter.re[k]!;
    }
    // The transform of the swapped parts is the inverse, swapped and times the size.
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

/** The transform X[k] = Σ x[n]·exp(−2πi·k·n/size), for a power of two (Cooley and Tukey). */
class Fourier {
  readonly #size: number;
  readonly #cos: Float64Array;
  readonly #sin: Float64Array;

  constructor(size: number) {
    this.#size = size;
    this.#cos = Float64Array.from({ length: size / 2 }, (_, i) => Math.cos((2 * Math.PI * i) / size));
    this.#sin = Float64Array.from({ length: size / 2 }, (_, i) => -Math.sin((2 * Math.PI * i) / size));
  }

  /** The transform of what has these parts, padded with zeros. */
  forward(real: Float32Array, imaginary: Float32Array): Complex {
    const re = new Float64Array(this.#size);
    const im = new Float64Array(this.#size);
    re.set(real);
    im.set(imaginary);
    this.transform(re, im);
    return { re, im };
  }

  /** In place. */
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
