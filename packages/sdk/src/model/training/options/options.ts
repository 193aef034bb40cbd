/** @file What a user can say of a run. */

import type { Adapter } from '../../../adapter/adapter.ts';
import type { CachePrefix } from './keptPrefix.ts';
import type { Metrics } from '../../../plugin/dataset.ts';
import type { Task } from '../../../plugin/preparedTask.ts';
import type { RunnableOptions } from '../../../plugin/taskModel.ts';
import type { Memory } from '../../../train/forward/index.ts';
import type { ClipOptions } from '../../../train/clip.ts';
import type { EmaOptions } from '../../../train/ema.ts';
import type { ParameterGroup } from '../../../train/groups.ts';
import type { OptimizerName, OptimizerOptions } from '../../../train/optimizers/named.ts';
import type { Optimizer } from '../../../train/optimizers/optimizer.ts';
import type { ScheduleName, ScheduleOptions } from '../../../train/schedules/schedule.ts';
import type { LoraOptions } from '../../planning/loraOptions.ts';
import type { BadLossPolicy } from '../badLoss.ts';
import type { BadSamplePolicy } from '../batchQueue.ts';
import type { MetricChoice } from '../../../plugin/tasks/statistics/metricChoice.ts';
import type { EarlyStopping } from '../objective.ts';
import type { Sampling } from './sampling.ts';

/** Where and how often a run saves all that it needs to go on. */
export interface CheckpointOptions {
  /** Gets a folder `step-N` per checkpoint. */
  readonly folder: string;
  /** Steps from one checkpoint to the next; 100 by default. */
  readonly every?: number;
  /** How many stay; 3 by default. */
  readonly keep?: number;
  /** Remove an earlier run's checkpoints from the folder, once everything else is ready; false by default. */
  readonly overwrite?: boolean;
}

/** An optimizer of a plugin, with its settings. */
export interface NamedOptimizer {
  /** The name under which the plugin brings it. */
  readonly name: string;
  readonly [setting: string]: unknown;
}

/** What a run does where nobody says otherwise. */
export const trainDefaults = {
  epochs: 3,
  batchSize: 32,
  lr: 1e-3,
  accumulationSteps: 1,
  schedule: 'linear',
  warmupSteps: 0,
  seed: 0,
  initBatches: 8,
  prefetch: 2,
  checkpointEvery: 100,
  keepCheckpoints: 3,
  onBadLoss: 'stop',
  maxBadLosses: 10,
  onBadSample: 'fail',
} as const;

/** Options of `train`. */
export interface TrainOptions<During extends Metrics = Metrics> extends Pick<RunnableOptions, 'provider' | 'threads'> {
  /** What is learned, and from which data. */
  readonly task: Task<unknown, Metrics, During>;
  /** The adapter to train; what the model's family recommends by default. */
  readonly lora?: LoraOptions;
  /**
   * An adapter to begin with, in place of `lora`: a run trains on from its numbers, with its modules, ranks, alphas and head,
   * and with a fresh optimizer. What `loadAdapter` takes, or an adapter. No step at all gives it back as it was. Where the data
   * have other labels than the adapter, its head begins anew, which a warning tells.
   *
   * @example
   * const run = await train(model, { task, from: 'runs/photos', lr: 1e-4, epochs: 1 });
   */
  readonly from?: Adapter | string;
  /** Optimizer steps; by default those of `epochs`. */
  readonly steps?: number;
  /** Passes over the data; 3 by default, and only without `steps`. */
  readonly epochs?: number;
  /**
   * Ends the run after this step as `stop()` would; learning rates stay those of the whole run, which can go on from its
   * checkpoint. Below 1: this part of all steps, rounded up.
   */
  readonly stopAfter?: number;
  /** Examples per batch; 32 by default, or all when there are fewer. */
  readonly batchSize?: number;
  /** Highest learning rate; 1e-3 by default. */
  readonly lr?: number;
  /** By name, with settings, or one of your own; AdamW by default. Plugins may bring more names. */
  readonly optimizer?: OptimizerName | OptimizerOptions | NamedOptimizer | Optimizer | (string & {});
  /** Weight decay of all but biases and norms; the optimizer's own by default, which is 0.01 for AdamW. */
  readonly weightDecay?: number;
  /** Parameters that learn at another rate or decay otherwise. Later groups override earlier ones. */
  readonly groups?: readonly ParameterGroup[];
  /** LoRA+: how many times faster lora_B learns than lora_A. */
  readonly loraPlusRatio?: number;
  /** Bounds the gradients: all together by their norm, or each number. */
  readonly clip?: ClipOptions;
  /** Batches whose gradients are averaged for one step; 1 by default. */
  readonly accumulationSteps?: number;
  /** Keep an average of the parameters over the last steps, which is then evaluated and saved. */
  readonly ema?: boolean | EmaOptions;
  /** How the learning rate changes; `linear` to 0 by default. */
  readonly schedule?: ScheduleName | ScheduleOptions;
  /** Steps over which the learning rate first rises; 0 by default. Below 1: the part of the run's steps. */
  readonly warmupSteps?: number;
  /** Seeds the initial weights and the order of examples; 0 by default. */
  readonly seed?: number;
  /**
   * Which examples an epoch is made of: each once (`uniform`, the default); as many of every class, where the task has classes
   * (`balanced`); each once, and together with others of about its length, where the task knows lengths (`length`), so that
   * little of a batch is padding; or each as often as a weight of yours says, one per example. An epoch has the same length in
   * all cases.
   */
  readonly sampling?: Sampling;
  /**
   * With `sampling: 'length'`: how long a batch may be in all, padding included, in the unit of the task's lengths, such as 4096
   * tokens. Batches of short examples then have more of them, up to `batchSize`, and all steps need about the same memory.
   */
  readonly batchLength?: number;
  /** Batches that an initialisation may look at, where `lora.initLoraWeights` is one that does; 8 by default. */
  readonly initBatches?: number;
  /** Batches that load while a step computes; 2 by default. Their examples load at the same time. */
  readonly prefetch?: number;
  /**
   * Measures the held-out data every so many steps, or after each `epoch`, and at the end. Nothing is measured without, unless
   * an option needs it.
   */
  readonly evaluateEvery?: number | 'epoch';
  /** The metric by which evaluations are compared; the first that the task gives by default. */
  readonly metric?: string | MetricChoice;
  /** Ends the run when evaluations stop getting better. */
  readonly earlyStopping?: EarlyStopping;
  /** Give the adapter of the best evaluation, not the last one; false by default. */
  readonly loadBest?: boolean;
  /** Saves checkpoints from which a run can go on. */
  readonly checkpoints?: CheckpointOptions;
  /**
   * Go on from the latest complete checkpoint: of this folder (a checkpoint, a folder of checkpoints, or a folder that holds
   * `checkpoints`), or with `true` of `checkpoints.folder` if there is one there yet. The run ends as if it had never been
   * interrupted, bit for bit on the same machine and provider. These may be others than before, from that step on: `lr`,
   * `steps`, `epochs`, `stopAfter`, `schedule`, `warmupSteps`, `weightDecay`, `groups`, `loraPlusRatio`, `clip`, `evaluateEvery`,
   * `earlyStopping`, `onBadLoss`, `onBadSample`, and what changes no result: `provider`, `threads`, `memory`, `cachePrefix`,
   * `prefetch`, `checkpoints`. A warning tells what has changed.
   */
  readonly resume?: string | boolean;
  /** What becomes of a batch whose loss or gradient is NaN or infinite; `stop` by default. */
  readonly onBadLoss?: BadLossPolicy;
  /** So many such batches in a row end the run, whatever `onBadLoss` says; 10 by default. */
  readonly maxBadLosses?: number;
  /**
   * What becomes of an example that cannot be loaded: `fail` ends the run (the default), `skip` leaves it out; others of its
   * batch take its place.
   */
  readonly onBadSample?: BadSamplePolicy;
  /**
   * Runs layers below the lowest trained one once for each example, and keeps what they give: in memory by default, or in a
   * file of `folder`, up to `bytes`. It needs data whose examples never change (`isDeterministic`). Losses are the same but
   * for rounding.
   */
  readonly cachePrefix?: CachePrefix;
  /**
   * Bytes that forward values may take while they wait for their gradients. With fewer than all of them need, some are
   * computed again, and a step takes up to a third longer. `auto`, the default, keeps all but the scores of attention over
   * long sequences.
   */
  readonly memory?: Memory;
  /** Told of the examples that are done, and of all, while the task computes what it needs of each before the first step. */
  readonly onBegin?: (done: number, total: number) => void;
  /**
   * Cancels the run, as signals do elsewhere: `done` and the iteration reject with `CANCELLED`, whose `cause` is the signal's
   * reason, after the step under way, which cannot be interrupted. With `checkpoints` the run can go on from there, and
   * `run.adapter` is what was trained. To end a run early and be given its adapter, call `run.stop()`.
   */
  readonly signal?: AbortSignal;
}
