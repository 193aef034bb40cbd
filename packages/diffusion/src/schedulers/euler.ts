/** @file Euler's method on the noise level, and its ancestral form. */

import { combine, targetOf } from './prediction.ts';
import {
  between,
  cumulativeAlphas,
  type Fields,
  karrasLevels,
  noiseLevels,
  placeOf,
  spacedTimesteps,
} from './schedule.ts';
import type { Scheduler, SchedulerRun } from './scheduler.ts';

/** @see https://arxiv.org/abs/2206.00364, algorithm 1 without churn */
export function euler(fields: Fields, { steps }: SchedulerRun): Scheduler {
  fields.word('interpolation_type', 'linear', ['linear']);
  fields.word('timestep_type', 'discrete', ['discrete']);
  const alphas = withFinite(fields, cumulativeAlphas(fields));
  const levels = noiseLevels(alphas);
  const spaced = spacedTimesteps(fields, steps, 'linspace', true);
  const usual = spaced.map((t) => between(levels, t));
  const isKarras = fields.flag('use_karras_sigmas', false);
  const own = isKarras
    ? karrasLevels(fields.number('sigma_max', usual[0]!), fields.number('sigma_min', usual.at(-1)!), steps)
    : usual;
  const last = fields.word('final_sigmas_type', 'zero', ['zero', 'sigma_min']) === 'zero' ? 0 : levels[0]!;
  const timesteps = isKarras ? own.map((level) => placeOf(level, levels)) : spaced;
  return onLevels(fields, { timesteps, levels: [...own, last] }, (sample, derivative, from, to) =>
    combine(sample, derivative, (x, d) => x + d * (to - from)),
  );
}

/** @see https://github.com/crowsonkb/k-diffusion, sample_euler_ancestral */
export function eulerAncestral(fields: Fields, { steps }: SchedulerRun): Scheduler {
  const levels = noiseLevels(withFinite(fields, cumulativeAlphas(fields)));
  const timesteps = spacedTimesteps(fields, steps, 'linspace', true);
  const own = [...timesteps.map((t) => between(levels, t)), 0];
  return onLevels(fields, { timesteps, levels: own }, (sample, derivative, from, to, noise) => {
    const up = Math.sqrt((to ** 2 * (from ** 2 - to ** 2)) / from ** 2);
    const down = Math.sqrt(to ** 2 - up ** 2);
    const next = combine(sample, derivative, (x, d) => x + d * (down - from));
    return combine(next, noise(), (x, z) => x + z * up);
  });
}

/** Pure noise has no finite level; diffusers takes the smallest alpha of float16. */
function withFinite(fields: Fields, alphas: Float32Array): Float32Array {
  if (fields.flag('rescale_betas_zero_snr', false)) alphas[alphas.length - 1] = 2 ** -24;
  return alphas;
}

type LevelStep = (
  sample: Float32Array,
  derivative: Float32Array,
  from: number,
  to: number,
  noise: () => Float32Array,
) => Float32Array;

/** A sampler whose samples are clean + level · noise. */
function onLevels(
  fields: Fields,
  run: { readonly timesteps: readonly number[]; readonly levels: readonly number[] },
  step: LevelStep,
): Scheduler {
  const target = targetOf(fields);
  const levels = run.levels.map(Math.fround);
  const highest = Math.max(...levels);
  const spacing = fields.word('timestep_spacing', 'linspace', ['leading', 'trailing', 'linspace']);
  return {
    timesteps: run.timesteps.map(Math.fround),
    initialDeviation: spacing === 'leading' ? Math.sqrt(highest ** 2 + 1) : highest,
    scaleInput: (sample, i) => {
      const norm = Math.sqrt(levels[i]! ** 2 + 1);
      return sample.map((value) => value / norm);
    },
    step: (output, i, sample, noise) => {
      const level = levels[i]!;
      const square = level ** 2 + 1;
      const derivative =
        target === 'epsilon'
          ? output
          : combine(sample, output, (x, y) => {
              const clean = target === 'sample' ? y : (-level / Math.sqrt(square)) * y + x / square;
              return (x - clean) / level;
            });
      return step(sample, derivative, level, levels[i + 1]!, noise);
    },
    addNoise: (clean, noise, i) => combine(clean, noise, (x, z) => x + levels[i]! * z),
  };
}
