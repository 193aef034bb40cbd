/** @file A network's prediction as the clean sample and its noise. */

import type { Fields } from './schedule.ts';
import type { Scheduler } from './scheduler.ts';

/** A network's target. */
export type Target = 'epsilon' | 'sample' | 'v_prediction';

/** The target that a config names. @throws OnnxLoraError `CONFIG_INVALID` for another */
export function targetOf(fields: Fields): Target {
  return fields.word('prediction_type', 'epsilon', ['epsilon', 'sample', 'v_prediction']);
}

/** Elementwise combination of samples. */
export function combine(x: Float32Array, y: Float32Array, with_: (x: number, y: number) => number): Float32Array {
  return x.map((value, i) => with_(value, y[i]!));
}

/** √ᾱ · clean + √(1 − ᾱ) · noise. */
export function diffused(clean: Float32Array, noise: Float32Array, alpha: number): Float32Array {
  const [signal, deviation] = [Math.sqrt(alpha), Math.sqrt(1 - alpha)];
  return combine(clean, noise, (x, eps) => signal * x + deviation * eps);
}

/** The parts of a scheduler whose samples keep the variance of one: pure noise at first, and no scaling. */
export function variancePreserving(
  timesteps: readonly number[],
  alphas: Float32Array,
): Pick<Scheduler, 'timesteps' | 'initialDeviation' | 'scaleInput' | 'addNoise'> {
  return {
    timesteps,
    initialDeviation: 1,
    scaleInput: (sample) => sample,
    addNoise: (clean, noise, step) => diffused(clean, noise, alphas[timesteps[step]!]!),
  };
}

/**
 * The clean sample of a noisy one: x = signal · clean + noise · ε.
 * @see https://arxiv.org/abs/2202.00512, appendix D, for v
 */
export function cleanOf(
  target: Target,
  sample: Float32Array,
  output: Float32Array,
  signal: number,
  noise: number,
): Float32Array {
  if (target === 'sample') return output;
  return target === 'epsilon'
    ? combine(sample, output, (x, eps) => (x - noise * eps) / signal)
    : combine(sample, output, (x, v) => signal * x - noise * v);
}

/** The noise of a noisy sample. */
export function noiseOf(
  target: Target,
  sample: Float32Array,
  output: Float32Array,
  signal: number,
  noise: number,
): Float32Array {
  if (target === 'epsilon') return output;
  return target === 'sample'
    ? combine(sample, output, (x, clean) => (x - signal * clean) / noise)
    : combine(sample, output, (x, v) => signal * v + noise * x);
}

/** Clips clean samples if the config says so; what it returns is used in place of the sample. */
export function clipper(fields: Fields, usual: boolean): (clean: Float32Array) => Float32Array {
  if (!fields.flag('clip_sample', usual)) return (clean) => clean;
  const range = fields.number('clip_sample_range', 1);
  return (clean) => clean.map((value) => Math.min(Math.max(value, -range), range));
}
