/** @file The options of a training, checked and with their defaults, before anything begins. */

import { OnnxLoraError } from '../../../errors.ts';
import type { PreparedTask } from '../../../plugin/preparedTask.ts';
import { checkMachine } from '../../../runtime/providers/providers.ts';
import { Ema } from '../../../train/ema.ts';
import { loraPlus, type ParameterGroup, withoutDecay } from '../../../train/groups.ts';
import { scheduleOf } from '../../../train/schedules/schedule.ts';
import type { Model } from '../../model.ts';
import { MAX_SEED, oneOf, positive, whole } from './checks.ts';
import type { MetricChoice } from '../objective.ts';
import { optimizerOf } from './optimizerOf.ts';
import { type TrainOptions, trainDefaults } from './options.ts';

/** Options with their defaults, all within their bounds; those of whole numbers are. */
interface CheckedOptions {
  readonly epochs: number;
  readonly batchSize: number;
  readonly lr: number;
  readonly memory: 'auto' | number;
  readonly accumulation: number;
  readonly schedule: NonNullable<TrainOptions['schedule']>;
  readonly warmup: number;
  readonly seed: number;
  readonly initBatches: number;
  readonly prefetch: number;
  readonly checkpointEvery: number;
  readonly keep: number;
  readonly onBadLoss: NonNullable<TrainOptions['onBadLoss']>;
  readonly maxBadLosses: number;
  readonly onBadSample: NonNullable<TrainOptions['onBadSample']>;
}

/** The metric that says which evaluation is the best; undefined for the task's own. */
export function metricOf({ metric }: TrainOptions): MetricChoice | undefined {
  return typeof metric === 'string' ? { name: metric } : metric;
}

/**
 * The options that a run needs as numbers and choices.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for a value out of its bounds, or options that exclude each other;
 *   `PROVIDER_UNAVAILABLE`
 */
export function checked(options: TrainOptions, registry: Model['registry']): CheckedOptions {
  const { steps, checkpoints, earlyStopping, evaluateEvery, optimizer, clip, ema, from, lora } = options;
  checkMachine(
    options,
    registry.providers.map(({ name }) => name),
  );
  // None gives the adapter that the run begins with.
  if (steps !== undefined) whole('steps', steps, from === undefined ? 1 : 0);
  if (from !== undefined && lora !== undefined)
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      'from names the adapter to begin with, which says what is adapted and how, and lora says so too. Leave one of them out.',
    );
  if (evaluateEvery !== undefined && evaluateEvery !== 'epoch') whole('evaluateEvery', evaluateEvery);
  // Made again when they are needed; what is wrong with them is told now.
  if (optimizer !== undefined) optimizerOf(optimizer, registry);
  if (ema) new Ema(ema === true ? {} : ema);
  for (const [name, bound] of Object.entries(clip ?? {})) positive(`clip.${name}`, bound as number);
  scheduleOf(options.schedule ?? trainDefaults.schedule, {
    steps: steps || 1,
    warmup: options.warmupSteps ?? trainDefaults.warmupSteps,
  });
  for (const name of ['weightDecay', 'loraPlusRatio', 'batchLength'] as const) {
    const value = options[name];
    if (value !== undefined && !(name === 'weightDecay' && value === 0)) positive(name, value);
  }
  if (earlyStopping) {
    whole('earlyStopping.patience', earlyStopping.patience);
    if (!((earlyStopping.minDelta ?? 0) >= 0))
      throw new OnnxLoraError(
        'CONFIG_INVALID',
        `earlyStopping.minDelta must be a number of at least 0, but it is ${earlyStopping.minDelta}.`,
      );
  }
  return {
    epochs: positive('epochs', options.epochs ?? trainDefaults.epochs, 1_000_000),
    batchSize: whole('batchSize', options.batchSize ?? trainDefaults.batchSize, 1, 1_000_000),
    lr: positive('lr', options.lr ?? trainDefaults.lr),
    memory: options.memory === undefined || options.memory === 'auto' ? 'auto' : positive('memory', options.memory),
    accumulation: whole(
      'accumulationSteps',
      options.accumulationSteps ?? trainDefaults.accumulationSteps,
      1,
      1_000_000,
    ),
    schedule: options.schedule ?? trainDefaults.schedule,
    warmup: options.warmupSteps ?? trainDefaults.warmupSteps,
    seed: whole('seed', options.seed ?? trainDefaults.seed, 0, MAX_SEED),
    initBatches: whole('initBatches', options.initBatches ?? trainDefaults.initBatches, 1, 1_000_000),
    prefetch: whole('prefetch', options.prefetch ?? trainDefaults.prefetch, 0, 1000),
    checkpointEvery: whole('checkpoints.every', checkpoints?.every ?? trainDefaults.checkpointEvery),
    keep: whole('checkpoints.keep', checkpoints?.keep ?? trainDefaults.keepCheckpoints),
    onBadLoss: oneOf('onBadLoss', options.onBadLoss ?? trainDefaults.onBadLoss, ['stop', 'skip', 'backoff']),
    maxBadLosses: whole('maxBadLosses', options.maxBadLosses ?? trainDefaults.maxBadLosses),
    onBadSample: oneOf('onBadSample', options.onBadSample ?? trainDefaults.onBadSample, ['fail', 'skip']),
  };
}

/** The groups of all options together: what is said in general first, what the user says last. */
export function groupsOf({ weightDecay, loraPlusRatio, groups = [] }: TrainOptions, lr: number): ParameterGroup[] {
  return [
    ...(weightDecay === undefined ? [] : [{ match: () => true, weightDecay }]),
    withoutDecay,
    ...(loraPlusRatio === undefined ? [] : loraPlus({ ratio: loraPlusRatio, lr })),
    ...groups,
  ];
}

/** Steps from one evaluation to the next; undefined where there are none. */
export function evaluationSteps(
  { evaluateEvery, earlyStopping, loadBest }: TrainOptions,
  data: PreparedTask,
  perStep: number,
): number | undefined {
  const every = evaluateEvery ?? (earlyStopping || loadBest ? 'epoch' : undefined);
  if (every === undefined) return undefined;
  if (!data.validation || data.validation.length === 0) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      'The task holds no data out, so evaluateEvery, earlyStopping and loadBest have nothing to measure. Hold data out (for images, validation: 0.2), or leave them out.',
    );
  }
  return every === 'epoch' ? Math.max(1, Math.round(data.train.length / perStep)) : whole('evaluateEvery', every);
}
