/** @file Rotary frequencies for texts longer than those of pretraining. */

/** Methods to extend the context: position interpolation, NTK-aware scaling, YaRN. */
export type StretchMethod = 'linear' | 'ntk' | 'yarn';

/** Options of {@link stretchedFrequencies}, as in `StretchOptions`. */
export interface FrequencyOptions {
  readonly method: StretchMethod;
  readonly factor: number;
  readonly originalLength: number;
  readonly betaFast?: number;
  readonly betaSlow?: number;
}

/** New frequencies, and the factor of their cosines and sines. */
export interface StretchedFrequencies {
  readonly frequencies: Float64Array;
  readonly scale: number;
  /** The new base θ, if the frequencies remain its powers. */
  readonly base?: number;
}

/** The base θ of frequencies θ^(−2i/d), i < d/2; needs at least two. */
function baseOf(frequencies: ArrayLike<number>): number {
  const last = frequencies.length - 1;
  return frequencies[last]! ** (-frequencies.length / last);
}

/**
 * New frequencies from θ^(−2i/d):
 *
 * - `linear` divides all by the factor s, as if positions lay closer together;
 * - `ntk` takes the base θ·s^(d/(d−2)), which divides the slowest by s and keeps the fastest;
 * - `yarn` divides the slow ones by s, keeps the fast ones, blends between, and multiplies cosines and sines by 0.1·ln
 *   s + 1.
 * @see Chen et al., "Extending Context Window of Large Language Models via Positional Interpolation" (2023),
 * arXiv:2306.15595
 * @see Peng et al., "YaRN: Efficient Context Window Extension of Large Language Models" (2023), arXiv:2309.00071
 */
export function stretchedFrequencies(frequencies: ArrayLike<number>, options: FrequencyOptions): StretchedFrequencies {
  const { method, factor, originalLength, betaFast = 32, betaSlow = 1 } = options;
  const half = frequencies.length;
  const base = baseOf(frequencies);
  const before = Float64Array.from(frequencies);
  if (method === 'linear') return { frequencies: before.map((each) => each / factor), scale: 1 };
  if (method === 'ntk') {
    const own = base * factor ** (half / (half - 1));
    return { frequencies: before.map((_, i) => own ** (-i / half)), scale: 1, base: own };
  }
  // The pair that makes this number of turns within the original length.
  const pairOf = (turns: number): number => (half * Math.log(originalLength / (turns * 2 * Math.PI))) / Math.log(base);
  const low = Math.max(Math.floor(pairOf(betaFast)), 0);
  const high = Math.min(Math.ceil(pairOf(betaSlow)), 2 * half - 1);
  const ramp = (i: number): number => Math.min(Math.max((i - low) / (high === low ? 0.001 : high - low), 0), 1);
  return {
    frequencies: before.map((each, i) => each * (1 - ramp(i)) + (each / factor) * ramp(i)),
    scale: 0.1 * Math.log(factor) + 1,
  };
}
