/** @file Latent consistency models. */

import { cleanOf, clipper, combine, diffused, targetOf, variancePreserving } from './prediction.ts';
import { cumulativeAlphas, type Fields } from './schedule.ts';
import type { Scheduler, SchedulerRun } from './scheduler.ts';

/** The deviation of data that consistency models assume. */
const DATA = 0.5;

/** @see https://arxiv.org/abs/2310.04378 */
export function lcm(fields: Fields, { steps }: SchedulerRun): Scheduler {
  const alphas = cumulativeAlphas(fields, [0.00085, 0.012, 'scaled_linear']);
  const original = fields.number('original_inference_steps', 50);
  const count = alphas.length;
  if (!Number.isInteger(original) || original < steps || original > count)
    throw fields.wrong('original_inference_steps', `a number from the ${steps} steps of the run to ${count}`);
  const each = Math.floor(count / original);
  const taught = Array.from({ length: original }, (_, i) => (original - i) * each - 1);
  const timesteps = Array.from({ length: steps }, (_, i) => taught[Math.floor((i * original) / steps)]!);
  const target = targetOf(fields);
  const clip = clipper(fields, false);
  const scaling = fields.number('timestep_scaling', 10);
  return {
    ...variancePreserving(timesteps, alphas),
    step: (output, step, sample, noise) => {
      const t = timesteps[step]!;
      const alpha = alphas[t]!;
      const clean = clip(cleanOf(target, sample, output, Math.sqrt(alpha), Math.sqrt(1 - alpha)));
      const scaled = t * scaling;
      const [skip, out] = [DATA ** 2 / (scaled ** 2 + DATA ** 2), scaled / Math.sqrt(scaled ** 2 + DATA ** 2)];
      const denoised = combine(clean, sample, (x, own) => out * x + skip * own);
      return step === steps - 1 ? denoised : diffused(denoised, noise(), alphas[timesteps[step + 1]!]!);
    },
  };
}
