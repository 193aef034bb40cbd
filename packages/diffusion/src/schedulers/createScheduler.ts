/** @file Makes schedulers from diffusers' configs. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { didYouMean } from '@onnx-lora/sdk/plugin';
import { ddim, ddpm } from './ddim.ts';
import { dpmSolver } from './dpmSolver.ts';
import { euler, eulerAncestral } from './euler.ts';
import { flowMatchEuler } from './flowMatch.ts';
import { lcm } from './lcm.ts';
import { pndm } from './pndm.ts';
import { Fields, type SchedulerConfig } from './schedule.ts';
import type { Scheduler, SchedulerFactory, SchedulerRun } from './scheduler.ts';

/** Schedulers by diffusers' class. */
export const schedulers: Readonly<Record<string, SchedulerFactory>> = {
  DDIMScheduler: ddim,
  DDPMScheduler: ddpm,
  EulerDiscreteScheduler: euler,
  EulerAncestralDiscreteScheduler: eulerAncestral,
  DPMSolverMultistepScheduler: dpmSolver,
  LCMScheduler: lcm,
  PNDMScheduler: pndm,
  FlowMatchEulerDiscreteScheduler: flowMatchEuler,
};

/** Our short names, for options and the command line. */
export const schedulerNames: Readonly<Record<string, string>> = {
  ddim: 'DDIMScheduler',
  ddpm: 'DDPMScheduler',
  euler: 'EulerDiscreteScheduler',
  'euler-ancestral': 'EulerAncestralDiscreteScheduler',
  'dpm++2m': 'DPMSolverMultistepScheduler',
  lcm: 'LCMScheduler',
  pndm: 'PNDMScheduler',
  'flow-match-euler': 'FlowMatchEulerDiscreteScheduler',
};

/** Most steps of a run. */
const MOST_STEPS = 10_000;

/**
 * Makes a scheduler for one run, equal to diffusers' of the same config.
 * @example
 * const scheduler = createScheduler({ _class_name: 'EulerDiscreteScheduler', beta_schedule: 'scaled_linear' }, { steps: 20 });
 * @param config `scheduler_config.json`; another `_class_name` takes its fields over, as diffusers' `from_config` does
 * @throws OnnxLoraError `CONFIG_INVALID` for an unknown class or field; `INPUT_INVALID` for a number of steps
 */
export function createScheduler(config: SchedulerConfig, run: SchedulerRun): Scheduler {
  const given = config._class_name ?? '';
  const name = schedulerNames[given] ?? given;
  const factory = Object.hasOwn(schedulers, name) ? schedulers[name] : undefined;
  if (!factory) {
    const known = Object.keys(schedulerNames);
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `The scheduler ${JSON.stringify(given)} is unknown.${didYouMean(given, [...known, ...Object.keys(schedulers)])} Choose one of ${known.join(', ')}.`,
    );
  }
  const fields = new Fields(config);
  if (!Number.isInteger(run.steps) || run.steps < 1 || run.steps > Math.min(fields.number('num_train_timesteps', 1000), MOST_STEPS)) // prettier-ignore
    throw new OnnxLoraError('INPUT_INVALID', `A picture in ${run.steps} steps was asked for. Pass a whole number from 1 to ${fields.number('num_train_timesteps', 1000)}.`); // prettier-ignore
  fields.refuse('thresholding', 'use_exponential_sigmas', 'use_beta_sigmas', 'use_lu_lambdas', 'use_flow_sigmas');
  return factory(fields, run);
}
