/** @file DPM-Solver++ of several steps, deterministic and stochastic. */

import { cleanOf, combine, targetOf } from './prediction.ts';
import {
  between,
  cumulativeAlphas,
  type Fields,
  karrasLevels,
  linspace,
  noiseLevels,
  placeOf,
  rint,
} from './schedule.ts';
import type { Scheduler, SchedulerRun } from './scheduler.ts';

/** Where a noise level is: signal and noise of a sample of variance one, and log of their ratio. */
interface Place {
  readonly signal: number;
  readonly noise: number;
  readonly lambda: number;
}

function placed(level: number): Place {
  const signal = 1 / Math.sqrt(level ** 2 + 1);
  return { signal, noise: level * signal, lambda: Math.log(signal) - Math.log(level * signal) };
}

/** @see https://arxiv.org/abs/2211.01095, algorithm 2 */
export function dpmSolver(fields: Fields, { steps }: SchedulerRun): Scheduler {
  const alphas = cumulativeAlphas(fields);
  if (fields.flag('rescale_betas_zero_snr', false)) alphas[alphas.length - 1] = 2 ** -24;
  const kind = fields.word('algorithm_type', 'dpmsolver++', ['dpmsolver++', 'sde-dpmsolver++']);
  const isHeun = fields.word('solver_type', 'midpoint', ['midpoint', 'heun']) === 'heun';
  const order = fields.number('solver_order', 2);
  if (order !== 1 && order !== 2) throw fields.wrong('solver_order', '1 or 2');
  const target = targetOf(fields);
  const all = noiseLevels(alphas);
  const { timesteps, levels: own } = levelsOf(fields, steps, alphas, all);
  const endsAtZero = fields.word('final_sigmas_type', 'zero', ['zero', 'sigma_min']) === 'zero';
  const levels = [...own, endsAtZero ? 0 : all[0]!].map(Math.fround);
  const count = timesteps.length;
  const isShort = count < 15;
  const endsFirst = fields.flag('euler_at_final', false) || (fields.flag('lower_order_final', true) && isShort) || endsAtZero; // prettier-ignore
  let before: Float32Array | undefined;
  return {
    timesteps,
    initialDeviation: 1,
    scaleInput: (sample) => sample,
    step: (output, i, sample, noise) => {
      const [to, from] = [placed(levels[i + 1]!), placed(levels[i]!)];
      const clean = cleanOf(target, sample, output, from.signal, from.noise);
      const isFirst = order === 1 || before === undefined || (i === count - 1 && endsFirst);
      const h = to.lambda - from.lambda;
      const isNoisy = kind === 'sde-dpmsolver++';
      const decay = isNoisy ? Math.exp(-2 * h) : Math.exp(-h);
      const kept = (to.noise / from.noise) * (isNoisy ? Math.exp(-h) : 1);
      const moved = to.signal * (1 - decay);
      let next = combine(sample, clean, (x, m) => kept * x + moved * m);
      if (!isFirst) {
        const ratio = (from.lambda - placed(levels[i - 1]!).lambda) / h;
        const second = isHeun ? to.signal * ((1 - decay) / (isNoisy ? -2 * h : -h) + 1) : 0.5 * moved;
        const change = combine(clean, before!, (m, old) => (second / ratio) * (m - old));
        next = combine(next, change, (x, d) => x + d);
      }
      before = clean;
      if (!isNoisy) return next;
      const deviation = to.noise * Math.sqrt(1 - Math.exp(-2 * h));
      return combine(next, noise(), (x, z) => x + deviation * z);
    },
    addNoise: (clean, noise, i) => {
      const { signal, noise: deviation } = placed(levels[i]!);
      return combine(clean, noise, (x, z) => signal * x + deviation * z);
    },
  };
}

function levelsOf(
  fields: Fields,
  steps: number,
  alphas: Float32Array,
  all: Float64Array,
): { readonly timesteps: readonly number[]; readonly levels: readonly number[] } {
  if (fields.flag('use_karras_sigmas', false)) {
    const levels = karrasLevels(fields.number('sigma_max', all.at(-1)!), fields.number('sigma_min', all[0]!), steps);
    const places = levels.map((level) => placeOf(level, all));
    const isCosine = fields.word('beta_schedule', 'linear', ['linear', 'scaled_linear', 'squaredcos_cap_v2']) === 'squaredcos_cap_v2'; // prettier-ignore
    return { levels, timesteps: places.map((place) => Math.trunc(isCosine ? place : rint(place))) };
  }
  const spacing = fields.word('timestep_spacing', 'linspace', ['leading', 'trailing', 'linspace']);
  // Timesteps with less signal than this are left out.
  const least = fields.number('lambda_min_clipped', -Number.MAX_VALUE);
  const clipped = alphas.filter((alpha) => Math.log(Math.sqrt(alpha)) - Math.log(Math.sqrt(1 - alpha)) < least).length;
  const count = fields.number('num_train_timesteps', 1000);
  const last = count - clipped;
  const timesteps =
    spacing === 'linspace'
      ? linspace(0, last - 1, steps + 1)
          .map(rint)
          .reverse()
          .slice(0, -1)
      : spacing === 'leading'
        ? Array.from({ length: steps + 1 }, (_, i) => i * Math.floor(last / (steps + 1)) + fields.number('steps_offset', 0)).reverse().slice(0, -1) // prettier-ignore
        : Array.from({ length: Math.ceil(last / (count / steps)) }, (_, i) => rint(last - i * (count / steps)) - 1);
  return { timesteps, levels: timesteps.map((t) => between(all, t)) };
}
