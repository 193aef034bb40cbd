/** @file DDIM and DDPM. */

import { clipper, cleanOf, combine, noiseOf, targetOf, variancePreserving } from './prediction.ts';
import { cumulativeAlphas, type Fields, spacedTimesteps } from './schedule.ts';
import type { Scheduler, SchedulerRun } from './scheduler.ts';

/** @see https://arxiv.org/abs/2010.02502, equations 12 and 16 */
export function ddim(fields: Fields, { steps, eta = 0 }: SchedulerRun): Scheduler {
  const alphas = cumulativeAlphas(fields);
  const timesteps = spacedTimesteps(fields, steps, 'leading');
  const target = targetOf(fields);
  const clip = clipper(fields, true);
  const final = fields.flag('set_alpha_to_one', true) ? 1 : alphas[0]!;
  const ratio = Math.floor(fields.number('num_train_timesteps', 1000) / steps);
  return {
    ...variancePreserving(timesteps, alphas),
    step: (output, step, sample, noise) => {
      const t = timesteps[step]!;
      const [alpha, before] = [alphas[t]!, t - ratio >= 0 ? alphas[t - ratio]! : final];
      const [signal, deviation] = [Math.sqrt(alpha), Math.sqrt(1 - alpha)];
      const clean = clip(cleanOf(target, sample, output, signal, deviation));
      const epsilon = noiseOf(target, sample, output, signal, deviation);
      const added = eta * Math.sqrt(((1 - before) / (1 - alpha)) * (1 - alpha / before));
      const [kept, direction] = [Math.sqrt(before), Math.sqrt(1 - before - added ** 2)];
      const next = combine(clean, epsilon, (x, eps) => kept * x + direction * eps);
      return eta > 0 ? combine(next, noise(), (x, z) => x + added * z) : next;
    },
  };
}

/** @see https://arxiv.org/abs/2006.11239, equations 6 and 7 */
export function ddpm(fields: Fields, { steps }: SchedulerRun): Scheduler {
  const alphas = cumulativeAlphas(fields);
  const timesteps = spacedTimesteps(fields, steps, 'leading');
  const target = targetOf(fields);
  const clip = clipper(fields, true);
  const variance = fields.word('variance_type', 'fixed_small', ['fixed_small', 'fixed_small_log', 'fixed_large']);
  return {
    ...variancePreserving(timesteps, alphas),
    step: (output, step, sample, noise) => {
      const t = timesteps[step]!;
      const [alpha, before] = [alphas[t]!, step + 1 < timesteps.length ? alphas[timesteps[step + 1]!]! : 1];
      const [kept, beta] = [alpha / before, 1 - alpha / before];
      const clean = clip(cleanOf(target, sample, output, Math.sqrt(alpha), Math.sqrt(1 - alpha)));
      const [ofClean, ofSample] = [(Math.sqrt(before) * beta) / (1 - alpha), (Math.sqrt(kept) * (1 - before)) / (1 - alpha)]; // prettier-ignore
      const next = combine(clean, sample, (x, own) => ofClean * x + ofSample * own);
      if (t === 0) return next;
      const small = Math.max(((1 - before) / (1 - alpha)) * beta, 1e-20);
      const deviation = Math.sqrt(variance === 'fixed_large' ? beta : small);
      return combine(next, noise(), (x, z) => x + deviation * z);
    },
  };
}
