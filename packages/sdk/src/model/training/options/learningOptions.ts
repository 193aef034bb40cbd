/** @file Learning options of `train`: types and rows. */

import { z } from 'zod';
import { clip, type ClipOptions, type Transformation } from '../../../train/transformation.ts';
import { Ema, type EmaOptions } from '../../../train/ema.ts';
import type { ParameterGroup } from '../../../train/groups.ts';
import { type OptimizerName, optimizerNames, type OptimizerOptions } from '../../../train/optimizers/named.ts';
import type { Optimizer } from '../../../train/optimizers/optimizer.ts';
import { type ScheduleName, scheduleNames, type ScheduleOptions } from '../../../train/schedules/schedule.ts';
import { MAX_SEED } from '../../../checks.ts';
import { oneOfOrPlugin, type OptionRows } from './optionRow.ts';
import type { Sampling } from './sampling.ts';

/** A plugin's optimizer with its settings. */
export interface NamedOptimizer {
  /** The plugin's name for it. */
  readonly name: string;
  readonly [setting: string]: unknown;
}

/** Steps, batches and the optimizer. */
export interface LearningOptions {
  /** Optimizer steps; by default those of `epochs`. */
  readonly steps?: number;
  /** Passes over the data, unless `steps` is set; 3 by default. */
  readonly epochs?: number;
  /** Ends the run after this step, like `stop()`, without changing learning rates. Below 1: a fraction of all steps. */
  readonly stopAfter?: number;
  /** Examples per batch; 32 by default, or all if there are fewer. */
  readonly batchSize?: number;
  /** Batches whose gradients are averaged for a step; 1 by default. */
  readonly accumulationSteps?: number;
  /**
   * How an epoch of fixed length draws examples: each once (`uniform`, the default), every class equally often
   * (`balanced`), each once in batches of similar length (`length`), or by a weight per example.
   */
  readonly sampling?: Sampling;
  /**
   * With `sampling: 'length'`, the maximum length of a batch including padding, in the task's unit, such as 4096
   * tokens: batches of short examples hold more of them, up to `batchSize`.
   */
  readonly batchLength?: number;
  /** Seed of the initial weights and the order of examples; 0 by default. */
  readonly seed?: number;
  /** Peak learning rate; 1e-3 by default. */
  readonly lr?: number;
  /** A name, alone or with settings, or an optimizer object; AdamW by default. Plugins may add names. */
  readonly optimizer?: OptimizerName | OptimizerOptions | NamedOptimizer | Optimizer | (string & {});
  /** Learning rate schedule; `linear` decay to 0 by default. */
  readonly schedule?: ScheduleName | ScheduleOptions;
  /** Warmup steps; 0 by default. Below 1: this fraction of all steps. */
  readonly warmupSteps?: number;
  /** Weight decay of all parameters but biases and norms; by default the optimizer's own, 0.01 for AdamW. */
  readonly weightDecay?: number;
  /** Parameter groups with their own learning rate or weight decay. Later groups override earlier ones. */
  readonly groups?: readonly ParameterGroup[];
  /** LoRA+: the ratio of the learning rates of lora_B and lora_A. */
  readonly loraPlusRatio?: number;
  /** Gradient clipping by global norm or by value. */
  readonly clip?: ClipOptions;
  /** Averages the parameters over steps (EMA); the average is evaluated and saved. */
  readonly ema?: boolean | EmaOptions;
  /** Transformations of your own around the optimizer's step, in this order, after those of the other options. */
  readonly transformations?: readonly Transformation[];
}

/** The options that have a default. */
export type DefaultedLearning =
  | 'epochs'
  | 'batchSize'
  | 'accumulationSteps'
  | 'sampling'
  | 'seed'
  | 'lr'
  | 'optimizer'
  | 'schedule'
  | 'warmupSteps'
  | 'ema';

// prettier-ignore
export const learningRows: OptionRows<LearningOptions, DefaultedLearning> = {
  steps: { kind: 'number', whole: true, min: 1, onResume: 'mayChange', group: 'Steps and batches', description: 'optimizer steps; overrides --epochs' },
  epochs: { kind: 'number', above: 0, max: 1_000_000, default: 3, onResume: 'mayChange', seenIn: 'steps',
    group: 'Steps and batches', description: 'passes over the data' },
  stopAfter: { kind: 'other', onResume: 'noResult', description: 'end the run after this step, as if it were interrupted',
    schema: z.unknown().refine((value) => isStopAfter(value), { error: 'must be a whole number of at least 1, or a part of all steps below 1' }) },
  batchSize: { kind: 'number', whole: true, min: 1, max: 1_000_000, default: 32, onResume: 'fixed',
    group: 'Steps and batches', description: 'examples per batch, unless the task sets it' },
  accumulationSteps: { kind: 'number', whole: true, min: 1, max: 1_000_000, default: 1, onResume: 'fixed',
    group: 'Steps and batches', description: 'batches of gradients per optimizer step' },
  sampling: { kind: 'choice', of: ['uniform', 'balanced', 'length'], orObject: true, default: 'uniform', onResume: 'fixed', placeholder: '<how>',
    group: 'Steps and batches', description: 'uniform; balanced: every class equally often; length: batches of similar lengths' },
  batchLength: { kind: 'number', above: 0, onResume: 'fixed', seenIn: 'sampling', placeholder: '<n>',
    group: 'Steps and batches', description: 'with --sampling length: maximum tokens (or seconds) per batch, padding included; batches of short examples grow up to --batch-size' },
  seed: { kind: 'number', whole: true, min: 0, max: MAX_SEED, default: 0, onResume: 'fixed',
    group: 'Steps and batches', description: 'random seed; random seed; the same seed gives the same run' },
  lr: { kind: 'number', above: 0, default: 1e-3, onResume: 'mayChange', group: 'Optimization', description: 'peak learning rate' },
  optimizer: { kind: 'other', schema: oneOfOrPlugin(optimizerNames), orObject: true, default: 'adamw', onResume: 'fixed', placeholder: '<name>',
    group: 'Optimization', description: `${optimizerNames.join(', ')}, or a plugin's; or JSON with its settings` },
  schedule: { kind: 'choice', of: scheduleNames, orObject: true, default: 'linear', onResume: 'mayChange', placeholder: '<name>',
    group: 'Optimization', description: `learning rate schedule: ${scheduleNames.join(', ')}` },
  warmupSteps: { kind: 'number', min: 0, default: 0, onResume: 'mayChange', placeholder: '<n>',
    group: 'Optimization', description: 'steps of rising learning rate; below 1: a fraction of all steps' },
  weightDecay: { kind: 'number', min: 0, onResume: 'mayChange', seenIn: 'groups',
    group: 'Optimization', description: 'weight decay (default: 0.01 with adamw)' },
  groups: { onResume: 'mayChange' },
  loraPlusRatio: { kind: 'number', above: 0, onResume: 'mayChange', seenIn: 'groups',
    group: 'Optimization', description: 'LoRA+: ratio of lora_B\'s learning rate to lora_A\'s' },
  clip: { onResume: 'mayChange', transformation: clip, fields: {
    norm: { kind: 'number', above: 0, name: 'clipNorm', group: 'Optimization', description: 'clip the global norm of the gradients' },
    value: { kind: 'number', above: 0, description: 'bound each number of the gradients' },
  } },
  ema: { kind: 'flag', default: false, onResume: 'fixed', transformation: (ema) => new Ema(ema === true ? {} : ema), description: 'average the adapter over the last steps', fields: {
    decay: { name: 'ema', kind: 'number', min: 0, below: 1, example: 0.999, placeholder: '<decay>',
      group: 'Optimization', description: 'exponential moving average of the adapter, such as 0.999; the average is measured and saved' },
    warmup: { kind: 'flag', description: 'follow faster at first' },
  } },
  transformations: { kind: 'other', onResume: 'mayChange', transformation: (given) => given, description: 'transformations of your own',
    schema: z.unknown().refine((value) => areTransformations(value), { error: 'must be a list of transformations, each with its own name, which is not clip or ema' }) },
};

function areTransformations(value: unknown): boolean {
  if (!Array.isArray(value)) return false;
  const names = ['clip', 'ema', ...value.map((each: Partial<Transformation> | null) => each?.name)];
  return names.every((name) => typeof name === 'string' && name !== '') && new Set(names).size === names.length;
}

function isStopAfter(value: unknown): boolean {
  return typeof value === 'number' && value > 0 && (value < 1 || Number.isSafeInteger(value));
}
