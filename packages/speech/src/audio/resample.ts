/** @file Resamples audio to another rate. */

import { OnnxLoraError } from '@onnx-lora/sdk';

/** @throws OnnxLoraError `INPUT_INVALID` for a rate that is no positive integer */
export function checkRates(...rates: readonly number[]): void {
  for (const rate of rates) {
    if (!Number.isSafeInteger(rate) || rate < 1) {
      throw new OnnxLoraError('INPUT_INVALID', `A sample rate must be a positive whole number of Hz, not ${rate}.`);
    }
  }
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}

const WIDTH = 6;
/** Cutoff as a share of the lower Nyquist frequency. */
const ROLLOFF = 0.99;

/**
 * Resamples to `ceil(samples · to / from)` samples with a Hann-windowed sinc, six zero crossings wide, cut off at 0.99
 * of the lower Nyquist frequency: `torchaudio.functional.resample`'s default. Equal rates return `samples` itself.
 * @param samples one channel, `[samples]`
 * @param from its rate in whole Hz
 * @param to the rate wanted in whole Hz
 * @throws OnnxLoraError `INPUT_INVALID` for a rate that is no positive integer
 * @see https://ccrma.stanford.edu/~jos/resample/ for the method
 */
export function resample(samples: Float32Array, from: number, to: number): Float32Array {
  checkRates(from, to);
  if (from === to) return samples;
  const filter = new Filter(from, to);
  return filter.outputs(samples, 0, 0, filter.outputLength(samples.length));
}

/**
 * Resamples a stream of pieces, bit-equal to {@link resample} of the whole. Holds one piece and the filter's width.
 * @throws OnnxLoraError `INPUT_INVALID` for a rate that is no positive integer
 */
export async function* resampleStream(
  pieces: AsyncIterable<Float32Array>,
  from: number,
  to: number,
): AsyncGenerator<Float32Array> {
  checkRates(from, to);
  if (from === to) {
    yield* pieces;
    return;
  }
  const filter = new Filter(from, to);
  let held = new Float32Array(0);
  /** Absolute index of the first held sample. */
  let heldFrom = 0;
  let done = 0;
  for await (const piece of pieces) {
    held = join(held, piece);
    const ready = Math.max(done, filter.outputsBefore(heldFrom + held.length));
    if (ready > done) yield filter.outputs(held, heldFrom, done, ready);
    done = ready;
    const keepFrom = Math.max(heldFrom, Math.min(heldFrom + held.length, filter.firstInput(done)));
    held = held.subarray(keepFrom - heldFrom);
    heldFrom = keepFrom;
  }
  const total = filter.outputLength(heldFrom + held.length);
  if (total > done) yield filter.outputs(held, heldFrom, done, total);
}

function join(first: Float32Array, second: Float32Array): Float32Array<ArrayBuffer> {
  const joined = new Float32Array(first.length + second.length);
  joined.set(first);
  joined.set(second, first.length);
  return joined;
}

interface Taps {
  /** First input, relative to the input of a phase-0 output. */
  readonly first: number;
  readonly weights: Float64Array;
}

/** Polyphase filter: outputs of one phase share their taps; there are `phases` outputs for every `step` inputs. */
class Filter {
  readonly #step: number;
  readonly #phases: number;
  readonly #taps: (Taps | undefined)[] = [];

  constructor(from: number, to: number) {
    const divisor = greatestCommonDivisor(from, to);
    this.#step = from / divisor;
    this.#phases = to / divisor;
  }

  /** Outputs of `inputs` samples. */
  outputLength(inputs: number): number {
    return Math.ceil((inputs * this.#phases) / this.#step);
  }

  /** Leading outputs that do not depend on input `inputs` or later. */
  outputsBefore(inputs: number): number {
    // An output at p depends on inputs up to p + reach; one more covers rounding.
    const reach = Math.ceil((WIDTH * this.#step) / (Math.min(this.#step, this.#phases) * ROLLOFF)) + 1;
    return Math.max(0, Math.floor(((inputs - reach) * this.#phases) / this.#step));
  }

  /** First input of an output; may be negative. */
  firstInput(output: number): number {
    return Math.floor(output / this.#phases) * this.#step + this.#tapsOf(output % this.#phases).first;
  }

  /** Outputs `start` to `end`. `samples` holds the inputs from index `offset`; the rest is 0. */
  outputs(samples: Float32Array, offset: number, start: number, end: number): Float32Array {
    const result = new Float32Array(end - start);
    let phase = start % this.#phases;
    let base = Math.floor(start / this.#phases) * this.#step - offset;
    for (let i = 0; i < result.length; i++) {
      const { first, weights } = this.#tapsOf(phase);
      const at = base + first;
      const last = Math.min(weights.length, samples.length - at);
      let sum = 0;
      for (let k = Math.max(0, -at); k < last; k++) sum += weights[k]! * samples[at + k]!;
      result[i] = sum;
      if (++phase === this.#phases) {
        phase = 0;
        base += this.#step;
      }
    }
    return result;
  }

  #tapsOf(phase: number): Taps {
    return (this.#taps[phase] ??= taps(phase, this.#phases, this.#step));
  }
}

const float32 = Math.fround;

/** Weights of inputs `first`, `first + 1`, … for an output at `phase / phases · step`. */
function taps(phase: number, phases: number, step: number): Taps {
  const cutoff = Math.min(step, phases) * ROLLOFF;
  const first = Math.ceil((phase / phases - WIDTH / cutoff) * step);
  const last = Math.floor((phase / phases + WIDTH / cutoff) * step);
  const weights = Float64Array.from({ length: last - first + 1 }, (_, k) => {
    // torchaudio computes positions in float32; exact ones would differ by up to 1e-5.
    const t = float32(float32(float32((first + k) / step) - float32(phase / phases)) * cutoff);
    if (Math.abs(t) > WIDTH) return 0;
    const window = Math.cos((t * Math.PI) / WIDTH / 2) ** 2;
    const sinc = t === 0 ? 1 : Math.sin(Math.PI * t) / (Math.PI * t);
    return sinc * window * (cutoff / step);
  });
  return { first, weights };
}

/** Half the filter's length, in samples of the lower rate. */
const HALF_LENGTH = 10;
const KAISER_BETA = 5;

/**
 * Resamples by `up / down` to `ceil(samples · up / down)` samples as `scipy.signal.resample_poly`: a low-pass at the
 * lower Nyquist frequency with a Kaiser window of β 5, in float64, zero-padded. For data and models made with SciPy;
 * this package itself uses {@link resample}.
 * @param samples one channel, `[samples]`
 * @throws OnnxLoraError `INPUT_INVALID` if `up` or `down` is no positive integer
 * @see https://docs.scipy.org/doc/scipy/reference/generated/scipy.signal.resample_poly.html
 */
export function resamplePoly(samples: Float32Array, up: number, down: number): Float32Array {
  checkRates(up, down);
  const divisor = greatestCommonDivisor(up, down);
  const [phases, step] = [up / divisor, down / divisor];
  if (phases === step) return samples;
  const half = HALF_LENGTH * Math.max(phases, step);
  const filter = lowPass(half, Math.max(phases, step), phases);
  const result = new Float32Array(Math.ceil((samples.length * phases) / step));
  for (let i = 0; i < result.length; i++) {
    // Output i is at i · step on a grid with input j at j · phases.
    const first = Math.max(0, Math.ceil((i * step - half) / phases));
    const last = Math.min(samples.length - 1, Math.floor((i * step + half) / phases));
    let sum = 0;
    for (let j = first; j <= last; j++) sum += samples[j]! * filter[i * step - j * phases + half]!;
    result[i] = sum;
  }
  return result;
}

/** `firwin(2 · half + 1, 1 / width, window=('kaiser', 5.0)) · gain`. */
function lowPass(half: number, width: number, gain: number): Float64Array {
  const weights = Float64Array.from({ length: 2 * half + 1 }, (_, i) => {
    const t = (i - half) / width;
    const sinc = t === 0 ? 1 : Math.sin(Math.PI * t) / (Math.PI * t);
    return sinc * besselI0(KAISER_BETA * Math.sqrt(1 - ((i - half) / half) ** 2));
  });
  const sum = weights.reduce((total, each) => total + each, 0);
  return weights.map((each) => (each / sum) * gain);
}

/** The modified Bessel function of order 0, by its power series Σ ((x/2)^k / k!)². */
function besselI0(x: number): number {
  let sum = 0;
  for (let k = 0, term = 1; term > sum * 1e-17; k++, term *= (x / 2 / k) ** 2) sum += term;
  return sum;
}
