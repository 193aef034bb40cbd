/** @file Schedulers against diffusers, step for step. `fixtures/make_schedulers.py` makes the numbers. */

import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { createScheduler } from './createScheduler.ts';
import type { SchedulerConfig } from './schedule.ts';
import type { SchedulerRun } from './scheduler.ts';

interface Case {
  readonly config: SchedulerConfig;
  readonly run: SchedulerRun;
  readonly timesteps: readonly number[];
  readonly initial: number;
  readonly inputs: readonly (readonly number[])[];
  readonly samples: readonly (readonly number[])[];
}

const { cases } = JSON.parse(readFileSync(new URL('../../fixtures/schedulers.json', import.meta.url), 'utf8')) as { cases: readonly Case[] }; // prettier-ignore

const numbers = (step: number, offset: number): Float32Array =>
  Float32Array.from({ length: 3 }, (_, i) => Math.sin(1 + 2.3 * step + 0.7 * i + offset));

/** As float32 allows: relative to the numbers, and to those that cancelled out on the way. */
function expectClose(what: string, found: ArrayLike<number>, expected: readonly number[], cancelled = 0): void {
  const allowed = 1e-5 * Math.max(1, ...expected.map(Math.abs)) + 1e-7 * cancelled;
  expected.forEach((value, i) => expect(Math.abs(found[i]! - value), `${what}: ${found[i]} for ${value}`).toBeLessThan(allowed)); // prettier-ignore
}

it.each(
  cases.map(
    (each) =>
      [
        `${each.config._class_name!} ${JSON.stringify({ ...each.config, _class_name: undefined })} in ${each.run.steps}`,
        each,
      ] as const,
  ),
)('%s', (_, each) => {
  const scheduler = createScheduler(each.config, each.run);
  expect(scheduler.timesteps.length).toBe(each.timesteps.length);
  each.timesteps.forEach((t, i) => expect(scheduler.timesteps[i]).toBeCloseTo(t, 2));
  expectClose('initial', [scheduler.initialDeviation], [each.initial]);
  let sample: Float32Array = numbers(99, 0).map((value) => value * scheduler.initialDeviation);
  scheduler.timesteps.forEach((_t, step) => {
    const scaled = scheduler.scaleInput(sample, step);
    expectClose(`input ${step}`, scaled, each.inputs[step]!, each.initial);
    const output = numbers(step, 0.5).map((value, i) => value + 0.1 * scaled[i]!);
    sample = scheduler.step(output, step, sample, () => numbers(step, 2));
    expectClose(`sample ${step}`, sample, each.samples[step]!, each.initial);
  });
});

it.each<[string, SchedulerConfig, SchedulerRun, RegExp]>([
  [
    'an unknown class',
    { _class_name: 'EulerDiscreteSchedulr' },
    { steps: 4 },
    /"EulerDiscreteSchedulr" is unknown.*EulerDiscreteScheduler/,
  ],
  ['no steps', { _class_name: 'ddim' }, { steps: 0 }, /0 steps/],
  [
    'a wrong field',
    { _class_name: 'ddim', beta_start: 'low' as unknown as number },
    { steps: 4 },
    /beta_start "low", and needs a number/,
  ],
  [
    'a hostile size',
    { _class_name: 'ddim', num_train_timesteps: 1e12 },
    { steps: 4 },
    /num_train_timesteps 1000000000000/,
  ],
  ['Runge-Kutta steps', { _class_name: 'pndm' }, { steps: 4 }, /skip_prk_steps undefined, and needs true/],
  [
    'what is not built',
    { _class_name: 'ddim', thresholding: true },
    { steps: 4 },
    /thresholding true, and needs false/,
  ],
])('%s is refused', (_, config, run, message) => {
  expect(() => createScheduler(config, run)).toThrow(message);
});
