/** @file PNDM without its Runge-Kutta steps (PLMS), the scheduler that Stable Diffusion 1 is published with. */

import { combine, variancePreserving } from './prediction.ts';
import { cumulativeAlphas, type Fields, spacedTimesteps } from './schedule.ts';
import type { Scheduler, SchedulerRun } from './scheduler.ts';

/** Weights of the newest noises, the newest first, by how many there are. */
const multistep: readonly (readonly number[])[] = [
  [1],
  [3 / 2, -1 / 2],
  [23 / 12, -16 / 12, 5 / 12],
  [55 / 24, -59 / 24, 37 / 24, -9 / 24],
];

/** @see https://arxiv.org/abs/2202.09778, equations 9 to 12 */
export function pndm(fields: Fields, { steps }: SchedulerRun): Scheduler {
  if (!fields.flag('skip_prk_steps', false)) throw fields.wrong('skip_prk_steps', 'true');
  const target = fields.word('prediction_type', 'epsilon', ['epsilon', 'v_prediction']);
  const alphas = cumulativeAlphas(fields);
  const final = fields.flag('set_alpha_to_one', false) ? 1 : alphas[0]!;
  const spaced = spacedTimesteps(fields, steps, 'leading');
  // The second timestep comes twice: its first noise is averaged with that of the first.
  const timesteps = [...spaced.slice(0, 1), ...spaced.slice(1, 2), ...spaced.slice(1)];
  const ratio = Math.floor(alphas.length / steps);
  let calls = 0;
  let kept: Float32Array[] = [];
  let begin: Float32Array | undefined;
  return {
    ...variancePreserving(timesteps, alphas),
    step: (output, step, sample) => {
      const isSecond = calls === 1;
      const from = timesteps[step]! + (isSecond ? ratio : 0);
      const to = from - ratio;
      if (!isSecond) kept = [output, ...kept].slice(0, 4);
      const weights = multistep[kept.length - 1]!;
      const noise = isSecond
        ? combine(output, kept[0]!, (now, before) => (now + before) / 2)
        : output.map((_, i) => weights.reduce((sum, weight, at) => sum + weight * kept[at]![i]!, 0));
      const own = isSecond ? begin! : sample;
      if (calls === 0) begin = sample;
      calls++;
      const [alpha, before] = [alphas[from]!, to >= 0 ? alphas[to]! : final];
      const epsilon = target === 'epsilon' ? noise : combine(own, noise, (x, v) => Math.sqrt(alpha) * v + Math.sqrt(1 - alpha) * x); // prettier-ignore
      const scale = Math.sqrt(before / alpha);
      const divisor = alpha * Math.sqrt(1 - before) + Math.sqrt(alpha * (1 - alpha) * before);
      return combine(own, epsilon, (x, eps) => scale * x - ((before - alpha) * eps) / divisor);
    },
  };
}
