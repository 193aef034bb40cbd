/** @file The contract of schedulers: a sample after each step, from a network's output. */

import type { Fields } from './schedule.ts';

/** Standard normal numbers, as many as the sample has; drawn where a step adds noise. */
export type Noise = () => Float32Array;

/** A sampler of one run. Samples are flat; a step's number counts from 0. */
export interface Scheduler {
  /** The network's timestep at each step. */
  readonly timesteps: readonly number[];
  /** The standard deviation of the noise that a run begins with. */
  readonly initialDeviation: number;
  /** A sample as the network takes it. */
  scaleInput(sample: Float32Array, step: number): Float32Array;
  /**
   * The sample after a step.
   * @param output of the network, after guidance
   * @param noise called at most once, by samplers that add noise
   */
  step(output: Float32Array, step: number, sample: Float32Array, noise: Noise): Float32Array;
  /** A clean sample with the noise of a step, to begin there. */
  addNoise(clean: Float32Array, noise: Float32Array, step: number): Float32Array;
}

/** Settings of a run. */
export interface SchedulerRun {
  /** Steps of the run. */
  readonly steps: number;
  /** DDIM's noise: 0, the default, adds none; 1 is DDPM's. */
  readonly eta?: number;
  /** Noise levels of flow matching, from 1, in place of the scheduler's own. */
  readonly sigmas?: readonly number[];
  /** Logarithm of the shift of flow matching, for `use_dynamic_shifting`. */
  readonly shift?: number;
}

/** Makes a sampler of one run. */
export type SchedulerFactory = (fields: Fields, run: SchedulerRun) => Scheduler;
