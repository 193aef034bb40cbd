/** @file Euler's method on the straight paths of flow matching (SD3, Flux). */

import { combine } from './prediction.ts';
import { type Fields, karrasLevels, linspace } from './schedule.ts';
import type { Scheduler, SchedulerRun } from './scheduler.ts';

/** @see https://arxiv.org/abs/2403.03206 */
export function flowMatchEuler(fields: Fields, { steps, sigmas: given, shift: logShift }: SchedulerRun): Scheduler {
  fields.refuse('invert_sigmas');
  const count = fields.number('num_train_timesteps', 1000);
  const shift = fields.number('shift', 1);
  const isDynamic = fields.flag('use_dynamic_shifting', false);
  if (isDynamic && logShift === undefined) throw fields.wrong('use_dynamic_shifting', 'a shift for the size of the picture'); // prettier-ignore
  const fixed = (sigma: number): number => (shift * sigma) / (1 + (shift - 1) * sigma);
  // The scheduler's own range has been shifted once before the run shifts it.
  const [highest, lowest] = isDynamic ? [1, 1 / count] : [fixed(1), fixed(1 / count)];
  const spaced = given ?? linspace(Math.fround(highest), Math.fround(lowest), steps);
  const form = fields.word('time_shift_type', 'exponential', ['exponential', 'linear']);
  const factor = form === 'exponential' ? Math.exp(logShift ?? 0) : (logShift ?? 0);
  const shifted = spaced.map((sigma) => (isDynamic ? factor / (factor + (1 / sigma - 1)) : fixed(sigma)));
  const terminal = fields.number('shift_terminal', 0);
  const stretch = terminal === 0 ? 1 : (1 - shifted.at(-1)!) / (1 - terminal);
  const stretched = shifted.map((sigma) => 1 - (1 - sigma) / stretch);
  const own = fields.flag('use_karras_sigmas', false)
    ? karrasLevels(stretched[0]!, stretched.at(-1)!, stretched.length)
    : stretched;
  const sigmas = [...own, 0].map(Math.fround);
  const isStochastic = fields.flag('stochastic_sampling', false);
  return {
    timesteps: sigmas.slice(0, -1).map((sigma) => Math.fround(sigma * count)),
    initialDeviation: 1,
    scaleInput: (sample) => sample,
    step: (output, i, sample, noise) => {
      const [from, to] = [sigmas[i]!, sigmas[i + 1]!];
      if (!isStochastic) return combine(sample, output, (x, v) => x + (to - from) * v);
      const clean = combine(sample, output, (x, v) => x - from * v);
      return combine(clean, noise(), (x, z) => (1 - to) * x + to * z);
    },
    addNoise: (clean, noise, i) => combine(clean, noise, (x, z) => sigmas[i]! * z + (1 - sigmas[i]!) * x),
  };
}
