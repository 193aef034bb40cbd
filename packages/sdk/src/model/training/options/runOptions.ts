/** @file The options that say what is trained, measured and kept, and where: each with its type for programs, and its row. */

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
import type { EarlyStopping } from '../objective.ts';
import type { CachePrefix } from './keptPrefix.ts';
import { nameSuchAs, type OptionRows } from './optionRow.ts';

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

/** Checkpoints of a run, where nobody says otherwise. */
export const checkpointDefaults = { every: 100, keep: 3 } as const;

/** Data, measurements, checkpoints and the machine. */
export interface TrainingRunOptions<During extends Metrics = Metrics> extends Pick<
  RunnableOptions,
  'provider' | 'threads'
> {
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
  /** Batches that an initialisation may look at, where `lora.initLoraWeights` is one that does; 8 by default. */
  readonly initBatches?: number;
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
   * interrupted, bit for bit on the same machine and provider. Options that a run may change from that step on are in the
   * reference of settings; a warning tells what has changed.
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
  /** Batches that load while a step computes; 2 by default. Their examples load at the same time. */
  readonly prefetch?: number;
  /**
   * Bytes that forward values may take while they wait for their gradients. With fewer than all of them need, some are
   * computed again, and a step takes up to a third longer. `auto`, the default, keeps all but the scores of attention over
   * long sequences.
   */
  readonly memory?: Memory;
  /**
   * Runs layers below the lowest trained one once for each example, and keeps what they give: in memory by default, or in a
   * file of `folder`, up to `bytes`. It needs data whose examples never change (`isDeterministic`). Losses are the same but
   * for rounding.
   */
  readonly cachePrefix?: CachePrefix;
  /** Told of the examples that are done, and of all, while the task computes what it needs of each before the first step. */
  readonly onBegin?: (done: number, total: number) => void;
  /**
   * Cancels the run, as signals do elsewhere: `done` and the iteration reject with `CANCELLED`, whose `cause` is the signal's
   * reason, after the step under way, which cannot be interrupted. With `checkpoints` the run can go on from there, and
   * `run.adapter` is what was trained. To end a run early and be given its adapter, call `run.stop()`.
   */
  readonly signal?: AbortSignal;
}

/** The options among them that always have a value. */
export type DefaultedRun =
  'initBatches' | 'loadBest' | 'onBadLoss' | 'maxBadLosses' | 'onBadSample' | 'prefetch' | 'memory' | 'cachePrefix';

/** Their rows. */
// prettier-ignore
export const runRows: OptionRows<TrainingRunOptions, DefaultedRun> = {
  task: { onResume: 'fixed' },
  lora: { onResume: 'fixed', seenIn: 'adapter' },
  from: { onResume: 'fixed', seenIn: 'firstValues' },
  initBatches: { kind: 'number', whole: true, min: 1, max: 1_000_000, default: 8, onResume: 'fixed', seenIn: 'firstValues',
    group: 'The adapter', description: 'batches that corda, eva and lora_ga look at' },
  evaluateEvery: { kind: 'number', whole: true, min: 1, name: 'evalEvery', or: ['epoch'], unit: 'steps', onResume: 'mayChange', placeholder: '<n|epoch>',
    group: 'What is measured', description: 'measure the held-out data every n steps, or after each epoch' },
  metric: { kind: 'text', onResume: 'fixed', placeholder: '<name>', group: 'What is measured',
    description: "metric by which --load-best and --patience compare; name:lower or name:higher says which is better (default: the task's first)",
    fields: {
      name: { kind: 'text', required: true, description: 'name of the metric' },
      better: { kind: 'choice', of: ['higher', 'lower'], description: 'which way the metric is better' },
    } },
  earlyStopping: { onResume: 'mayChange', fields: {
    patience: { kind: 'number', whole: true, min: 1, required: true, group: 'What is measured', description: 'stop early after n measurements without a better one' },
    minDelta: { kind: 'number', min: 0, default: 0, placeholder: '<x>',
      group: 'What is measured', description: 'how much better a measurement must be to count for --patience' },
  } },
  loadBest: { kind: 'flag', default: false, onResume: 'fixed',
    group: 'What is measured', description: 'keep the adapter that measured best, not the last one' },
  checkpoints: { onResume: 'noResult', fields: {
    folder: { kind: 'text', required: true, description: 'where checkpoints are written' },
    every: { kind: 'number', whole: true, min: 1, name: 'checkpointEvery', default: checkpointDefaults.every,
      group: 'The run and its folder', description: 'save all that --resume needs every n steps' },
    keep: { kind: 'number', whole: true, min: 1, name: 'keepCheckpoints', default: checkpointDefaults.keep,
      group: 'The run and its folder', description: 'how many checkpoints stay' },
    overwrite: { kind: 'flag', description: "remove an earlier run's checkpoints" },
  } },
  resume: { onResume: 'noResult' },
  onBadLoss: { kind: 'choice', of: ['stop', 'skip', 'backoff'], default: 'stop', onResume: 'mayChange', placeholder: '<what>',
    group: 'When something is wrong', description: 'when a loss is no number: stop, skip, backoff (skip the batch and halve the learning rate)' },
  maxBadLosses: { kind: 'number', whole: true, min: 1, default: 10, onResume: 'noResult', description: 'so many batches in a row whose loss is no number end the run' },
  onBadSample: { kind: 'choice', of: ['fail', 'skip'], default: 'fail', onResume: 'mayChange', placeholder: '<what>',
    group: 'When something is wrong', description: 'when a file cannot be read: fail, skip' },
  prefetch: { kind: 'number', whole: true, min: 0, max: 1000, default: 2, onResume: 'noResult',
    group: 'Where it runs', description: 'batches that load while a step computes' },
  memory: { kind: 'number', above: 0, or: ['auto'], default: 'auto', onResume: 'mayChange', placeholder: '<auto|MB>',
    group: 'Where it runs', description: 'megabytes that a step may keep for its gradients; the rest is computed again' },
  cachePrefix: { kind: 'other', schema: z.literal(['auto', false], { error: "must be 'auto', false, or an object with bytes" }),
    default: 'auto', onResume: 'mayChange', placeholder: '<auto|off|MB>', group: 'Where it runs',
    description: 'keep what frozen layers below the adapter give for each example, up to so many megabytes',
    fields: {
      bytes: { kind: 'number', above: 0, required: true, description: 'the most bytes that are kept' },
      folder: { kind: 'text', description: 'where they are kept, in place of memory' },
    } },
  provider: { kind: 'other', schema: nameSuchAs(providerNames), onResume: 'noResult', placeholder: '<name>',
    group: 'Where it runs', description: `where it runs: ${providerNames.join(', ')}` },
  threads: { kind: 'number', whole: true, min: 1, max: 256, onResume: 'noResult', group: 'Where it runs', description: 'threads of the CPU (default: all cores)' },
  onBegin: { onResume: 'noResult' },
  signal: { onResume: 'noResult' },
};
