/** @file Changes the sample rate by windowed-sinc interpolation. */

import { OnnxLoraError } from '@onnx-lora/sdk';

/** Zero crossings of the sinc on either side. */
const WIDTH = 6;
/** The cut-off as a share of the lower Nyquist frequency. */
const ROLLOFF = 0.99;

/**
 * Resamples to `ceil(samples · to / from)` samples with a Hann-windowed sinc, six zero crossings wide, cut off at 0.99
 * of the lower Nyquist frequency: what `torchaudio.functional.resample` does by default.
 * Equal rates return `samples` itself.
 *
 * @param samples one channel, `[samples]`
 * @param from its rate in whole Hz
 * @param to the rate wanted in whole Hz
 * @throws OnnxLoraError `INPUT_INVALID` when a rate is not a positive integer
 * @see https://ccrma.stanford.edu/~jos/resample/ for the method
 */
export function resample(samples: Float32Array, from: number, to: number): Float32Array {
  for (const rate of [from, to]) {
    if (!Number.isSafeInteger(rate) || rate < 1) {
      throw new OnnxLoraError('INPUT_INVALID', `A sample rate must be a positive whole number of Hz, not ${rate}.`);
    }
  }
  if (from === to) return samples;
  const divisor = gcd(from, to);
  const step = from / divisor;
  const phases = to / divisor;
  const result = new Float32Array(Math.ceil((samples.length * phases) / step));
  // Outputs that lie equally far behind an input sample share their taps; there are `phases` such distances.
  const filters = Array.from({ length: Math.min(phases, result.length) }, (_, phase) => taps(phase, phases, step));
  for (let i = 0; i < result.length; i++) {
    const { first, weights } = filters[i % phases]!;
    const start = Math.floor(i / phases) * step + first;
    const end = Math.min(weights.length, samples.length - start);
    let sum = 0;
    for (let k = Math.max(0, -start); k < end; k++) sum += weights[k]! * samples[start + k]!;
    result[i] = sum;
  }
  return result;
}

/** Weights of the inputs `first`, `first + 1`, … for the output that lies `phase / phases · step` inputs further on. */
const float32 = Math.fround;

function taps(phase: number, phases: number, step: number): { first: number; weights: Float64Array } {
  const cutoff = Math.min(step, phases) * ROLLOFF;
  const first = Math.ceil((phase / phases - WIDTH / cutoff) * step);
  const last = Math.floor((phase / phases + WIDTH / cutoff) * step);
  const weights = Float64Array.from({ length: last - first + 1 }, (_, k) => {
    // torchaudio computes these positions in float32; exact ones would differ from its results by up to 1e-5.
    const t = float32(float32(float32((first + k) / step) - float32(phase / phases)) * cutoff);
    if (Math.abs(t) > WIDTH) return 0;
    const window = Math.cos((t * Math.PI) / WIDTH / 2) ** 2;
    const sinc = t === 0 ? 1 : Math.sin(Math.PI * t) / (Math.PI * t);
    return sinc * window * (cutoff / step);
  });
  return { first, weights };
}

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b);
}
