/** @file Changes the sample rate as SciPy's resample_poly does. */

import { checkRates, greatestCommonDivisor } from './rates.ts';

/** Half the length of the filter, in samples of the lower of the two rates. */
const HALF_LENGTH = 10;
const KAISER_BETA = 5;

/**
 * Resamples by the ratio `up / down` to `ceil(samples · up / down)` samples as `scipy.signal.resample_poly` does by default:
 * a low-pass with the cut-off at the lower Nyquist frequency and a Kaiser window of β 5, in float64, zeros around the sound.
 * {@link resample} is what this package uses; this one is for data and models that were made with SciPy.
 *
 * @param samples one channel, `[samples]`
 * @throws OnnxLoraError `INPUT_INVALID` when `up` or `down` is not a positive integer
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
    // Output i lies at i · step on a grid on which input j lies at j · phases.
    const first = Math.max(0, Math.ceil((i * step - half) / phases));
    const last = Math.min(samples.length - 1, Math.floor((i * step + half) / phases));
    let sum = 0;
    for (let j = first; j <= last; j++) sum += samples[j]! * filter[i * step - j * phases + half]!;
    result[i] = sum;
  }
  return result;
}

/** `firwin(2 · half + 1, 1 / width, window=('kaiser', 5.0)) · gain`: the sum of its weights is `gain`. */
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
