/** @file Options of `train` for data, evaluation, checkpoints and hardware: types and rows. */

import { z } from 'zod';
import type { Adapter } from '../../../adapter/adapter.ts';
import type { Metrics } from '../../../statistics/measure.ts';
import type { Task } from '../../../plugin/preparedTask.ts';
import type { RunnableOptions } from '../../../plugin/taskModel.ts';
import type { MetricChoice } from '../../../statistics/metricChoice.ts';
import { providerNames } from '../../../runtime/providers/providers.ts';
import type { Memory } from '../../../train/forward/index.ts';
import type { LoraOptions } from '../../planning/loraOptions.ts';
import type { BadLossPolicy } from '../badLoss.ts';
import type { BadSamplePolicy } from '../batchQueue.ts';
import type { GradientExchange } from '../gradientExchange.ts';
import type { EarlyStopping } from '../objective.ts';
import type { CachePrefix } from './keptPrefix.ts';
import { oneOfOrPlugin, type OptionRows } from './optionRow.ts';

/** When and where a run saves checkpoints. */
export interface CheckpointOptions {
  /** Folder of the checkpoints `step-N`. */
  readonly folder: string;
  /** Steps between checkpoints; 100 by default. */
  readonly every?: number;
  /** Number of checkpoints to keep; 3 by default. */
  readonly keep?: number;
  /** Removes an earlier run's checkpoints from the folder, once everything else is ready; false by default. */
  readonly overwrite?: boolean;
}

/** Default checkpoint settings. */
export const checkpointDefaults = { every: 100, keep: 3 } as const;

/** Data, evaluation, checkpoints and hardware. */
export interface TrainingRunOptions<During extends Metrics = Metrics> extends Pick<
  RunnableOptions,
  'provider' | 'threads'
> {
  /** The task with its data. */
  readonly task: Task<unknown, Metrics, During>;
  /** The adapter to train; by default as the model's family recommends. */
  readonly lora?: LoraOptions;
  /**
   * An adapter to start from, in place of `lora`: an adapter, or an argument of `loadAdapter`. Keeps its values, modules,
   * ranks, alphas and head, with a fresh optimizer; zero steps return it unchanged. If the data have other labels, its
   * head starts afresh, with a warning.
   * @example
   * const run = await train(model, { task, from: 'runs/photos', lr: 1e-4, epochs: 1 });
   */
  readonly from?: Adapter | string;
  /** Batches for initialisations from data (`lora.initLoraWeights`); 8 by default. */
  readonly initBatches?: number;
  /** Evaluates every so many steps or each `epoch`, and at the end; by default only if another option needs it. */
  readonly evaluateEvery?: number | 'epoch';
  /** The metric to compare evaluations by; by default the task's first. */
  readonly metric?: string | MetricChoice;
  /** Ends the run when evaluations stop improving. */
  readonly earlyStopping?: EarlyStopping;
  /** Returns the adapter of the best evaluation instead of the last; false by default. */
  readonly loadBest?: boolean;
  /** Saves checkpoints to resume from. */
  readonly checkpoints?: CheckpointOptions;
  /**
   * Resumes from the latest complete checkpoint of a folder (a checkpoint, a folder of checkpoints, or one that
   * contains `checkpoints`), or with `true` from `checkpoints.folder`, if it has one. On the same machine and provider
   * the result is bit-identical to an uninterrupted run. The reference of settings lists the options that may change; a
   * warning names changes.
   */
  readonly resume?: string | boolean;
  /** On a batch whose loss or gradient is not finite: `stop` by default. */
  readonly onBadLoss?: BadLossPolicy;
  /** This many such batches in a row end the run, whatever `onBadLoss` is; 10 by default. */
  readonly maxBadLosses?: number;
  /** For an example that cannot be loaded: `fail` ends the run (the default), `skip` fills its place from the batch. */
  readonly onBadSample?: BadSamplePolicy;
  /** Batches to load during a step; 2 by default. Their examples load concurrently. */
  readonly prefetch?: number;
  /**
   * Bytes of forward values kept for the backward pass; others are recomputed, which slows a step by up to a third.
   * `auto`, the default, recomputes only attention scores over long sequences.
   */
  readonly memory?: Memory;
  /**
   * Caches the outputs of the layers below the lowest trained one per example, in memory or a file of `folder`, up to
   * `bytes`. Needs deterministic examples (`isDeterministic`). Losses match up to rounding.
   */
  readonly cachePrefix?: CachePrefix;
  /** Called with the examples done and the total, during a task's computations before the first step. */
  readonly onBegin?: (done: number, total: number) => void;
  /**
   * Cancels the run after the current step: `done` and the iteration reject with `CANCELLED`, the signal's reason as
   * `cause`. The run can be resumed from `checkpoints`. To end early with a result, call `run.stop()`.
   */
  readonly signal?: AbortSignal;
  /**
   * Shares each step with other processes of the same run: each computes some of its `accumulationSteps` batches, and
   * all apply the same mean. The result is that of one process.
   */
  readonly exchange?: GradientExchange;
}

/** The options that have a default. */
export type DefaultedRun =
  'initBatches' | 'loadBest' | 'onBadLoss' | 'maxBadLosses' | 'onBadSample' | 'prefetch' | 'memory' | 'cachePrefix';

// prettier-ignore
export const runRows: OptionRows<TrainingRunOptions, DefaultedRun> = {
  task: { onResume: 'fixed' },
  lora: { onResume: 'fixed', seenIn: 'adapter' },
  from: { onResume: 'fixed', seenIn: 'firstValues' },
  initBatches: { kind: 'number', whole: true, min: 1, max: 1_000_000, default: 8, onResume: 'fixed', seenIn: 'firstValues',
    group: 'The adapter', description: 'batches that corda, eva and lora_ga read' },
  evaluateEvery: { kind: 'number', whole: true, min: 1, name: 'evalEvery', or: ['epoch'], unit: 'steps', onResume: 'mayChange', placeholder: '<n|epoch>',
    group: 'Evaluation', description: 'evaluate every n steps, or after each epoch' },
  metric: { kind: 'text', onResume: 'fixed', placeholder: '<name>', group: 'Evaluation',
    description: "metric that --load-best and --patience compare; name:lower or name:higher sets the direction (default: the task's first)",
    fields: {
      name: { kind: 'text', required: true, description: 'name of the metric' },
      better: { kind: 'choice', of: ['higher', 'lower'], description: 'which way the metric is better' },
    } },
  earlyStopping: { onResume: 'mayChange', fields: {
    patience: { kind: 'number', whole: true, min: 1, required: true, group: 'Evaluation', description: 'stop early after n evaluations without improvement' },
    minDelta: { kind: 'number', min: 0, default: 0, placeholder: '<x>',
      group: 'Evaluation', description: 'smallest improvement that counts for --patience' },
  } },
  loadBest: { kind: 'flag', default: false, onResume: 'fixed',
    group: 'Evaluation', description: 'keep the best adapter instead of the last' },
  checkpoints: { onResume: 'noResult', fields: {
    folder: { kind: 'text', required: true, description: 'where checkpoints are written' },
    every: { kind: 'number', whole: true, min: 1, name: 'checkpointEvery', default: checkpointDefaults.every,
      group: 'The run and its folder', description: 'save a checkpoint every n steps, for --resume' },
    keep: { kind: 'number', whole: true, min: 1, name: 'keepCheckpoints', default: checkpointDefaults.keep,
      group: 'The run and its folder', description: 'number of checkpoints to keep' },
    overwrite: { kind: 'flag', description: "remove an earlier run's checkpoints" },
  } },
  resume: { onResume: 'noResult' },
  onBadLoss: { kind: 'choice', of: ['stop', 'skip', 'backoff'], default: 'stop', onResume: 'mayChange', placeholder: '<what>',
    group: 'Error handling', description: 'on a loss of NaN or infinity: stop, skip, backoff (skip the batch and halve the learning rate)' },
  maxBadLosses: { kind: 'number', whole: true, min: 1, default: 10, onResume: 'noResult', description: 'so many batches in a row whose loss is no number end the run' },
  onBadSample: { kind: 'choice', of: ['fail', 'skip'], default: 'fail', onResume: 'mayChange', placeholder: '<what>',
    group: 'Error handling', description: 'on an unreadable file: fail, skip' },
  prefetch: { kind: 'number', whole: true, min: 0, max: 1000, default: 2, onResume: 'noResult',
    group: 'Hardware', description: 'batches to load ahead' },
  memory: { kind: 'number', above: 0, or: ['auto'], default: 'auto', onResume: 'mayChange', placeholder: '<auto|MB>',
    group: 'Hardware', description: 'megabytes of activations that a step may keep; the rest is recomputed' },
  cachePrefix: { kind: 'other', schema: z.literal(['auto', false], { error: "must be 'auto', false, or an object with bytes" }),
    default: 'auto', onResume: 'mayChange', placeholder: '<auto|off|MB>', group: 'Hardware',
    description: 'megabytes of cached outputs of the frozen layers below the adapter, per example',
    fields: {
      bytes: { kind: 'number', above: 0, required: true, description: 'the most bytes that are kept' },
      folder: { kind: 'text', description: 'where they are kept, in place of memory' },
    } },
  provider: { kind: 'other', schema: oneOfOrPlugin(providerNames), onResume: 'noResult', placeholder: '<name>',
    group: 'Hardware', description: `execution provider: ${providerNames.join(', ')}` },
  threads: { kind: 'number', whole: true, min: 1, max: 256, onResume: 'noResult', group: 'Hardware', description: 'CPU threads (default: all cores)' },
  onBegin: { onResume: 'noResult' },
  signal: { onResume: 'noResult' },
  exchange: { onResume: 'noResult' },
};
