/** @file The options of a training, checked and with their defaults, before anything begins. */

import { didYouMean, OnnxLoraError } from '../../../errors.ts';
import type { Metrics } from '../../../plugin/dataset.ts';
import type { PreparedTask } from '../../../plugin/preparedTask.ts';
import type { PluginRegistry } from '../../../plugin/registry/loadPlugins.ts';
import { knownOptions } from '../../../knownOptions.ts';
import { defined } from '../../../plugin/data/defined.ts';
import { checkMachine } from '../../../runtime/providers/providers.ts';
import type { ClipOptions } from '../../../train/clip.ts';
import { Ema, type EmaOptions } from '../../../train/ema.ts';
import { loraPlus, type ParameterGroup, withoutDecay } from '../../../train/groups.ts';
import { createOptimizer, optimizerNames, type OptimizerOptions } from '../../../train/optimizers/named.ts';
import type { Optimizer } from '../../../train/optimizers/optimizer.ts';
import { scheduleOf } from '../../../train/schedules/schedule.ts';
import type { Model } from '../../model.ts';
import type { MetricChoice } from '../../../plugin/tasks/statistics/metricChoice.ts';
import type { EarlyStopping } from '../objective.ts';
import { MAX_SEED, oneOf, positive, whole } from './checks.ts';
import type { CachePrefix } from './keptPrefix.ts';
import { type CheckpointOptions, trainDefaults, type TrainOptions } from './options.ts';
import { requireTask } from '../../givenArguments.ts';

/** What is so where nobody says otherwise. */
const defaults = { ...trainDefaults, memory: 'auto', cachePrefix: 'auto', ema: false, loadBest: false } as const;

/** Options with their defaults, all within their bounds; those of whole numbers are. */
export type CheckedOptions<During extends Metrics = Metrics> = TrainOptions<During> &
  Required<
    Pick<
      TrainOptions,
      Extract<keyof TrainOptions, keyof typeof trainDefaults> | 'memory' | 'cachePrefix' | 'ema' | 'loadBest'
    >
  >;

/** Whole numbers: the least, and what nobody needs more of. */
const wholes = {
  batchSize: [1, 1_000_000],
  accumulationSteps: [1, 1_000_000],
  seed: [0, MAX_SEED],
  initBatches: [1, 1_000_000],
  prefetch: [0, 1000],
  maxBadLosses: [1, 1_000_000_000],
} as const;

// prettier-ignore
const requireKnown = knownOptions<TrainOptions>('train', {
  task: true, lora: true, from: true, provider: true, threads: true, seed: true,
  steps: true, epochs: true, stopAfter: true, batchSize: true, accumulationSteps: true, memory: true,
  lr: true, optimizer: true, weightDecay: true, groups: true, loraPlusRatio: true, clip: true, ema: true,
  schedule: true, warmupSteps: true, sampling: true, batchLength: true, initBatches: true, prefetch: true, cachePrefix: true,
  evaluateEvery: true, metric: true, earlyStopping: true, loadBest: true, checkpoints: true, resume: true,
  onBadLoss: true, maxBadLosses: true, onBadSample: true, onBegin: true, signal: true,
});

/** What is said in objects of its own. */
const inside = {
  checkpoints: knownOptions<CheckpointOptions>('checkpoints', {
    folder: true,
    every: true,
    keep: true,
    overwrite: true,
  }),
  earlyStopping: knownOptions<EarlyStopping>('earlyStopping', { patience: true, minDelta: true }),
  metric: knownOptions<MetricChoice>('metric', { name: true, better: true }),
  clip: knownOptions<ClipOptions>('clip', { norm: true, value: true }),
  ema: knownOptions<EmaOptions>('ema', { decay: true, warmup: true }),
  cachePrefix: knownOptions<Extract<CachePrefix, object>>('cachePrefix', { bytes: true, folder: true }),
} as const;

/** The metric that says which evaluation is the best; undefined for the task's own. */
export function metricOf({ metric }: TrainOptions): MetricChoice | undefined {
  return typeof metric === 'string' ? { name: metric } : metric;
}

/**
 * The options that a run needs as numbers and choices.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for an option that there is not, a value out of its bounds, or options that exclude each other;
 *   `PROVIDER_UNAVAILABLE`
 */
export function checked<During extends Metrics>(
  given: TrainOptions<During>,
  registry: Model['registry'],
): CheckedOptions<During> {
  requireKnown(given);
  requireTask('train', given.task);
  for (const [name, requireKnownIn] of Object.entries(inside)) {
    const value = given[name as keyof typeof inside];
    if (value && typeof value === 'object') requireKnownIn(value);
  }
  const options: CheckedOptions<During> = { ...defaults, ...(defined(given) as TrainOptions<During>) };
  const { steps, checkpoints, earlyStopping, evaluateEvery, optimizer, clip, ema, from, lora, memory } = options;
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
  scheduleOf(options.schedule, { steps: steps || 1, warmup: options.warmupSteps });
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
  positive('epochs', options.epochs, 1_000_000);
  if (options.stopAfter !== undefined && !(options.stopAfter > 0 && options.stopAfter < 1))
    whole('stopAfter', options.stopAfter);
  positive('lr', options.lr);
  if (memory !== 'auto') positive('memory', memory);
  for (const [name, [least, most]] of Object.entries(wholes)) whole(name, options[name as keyof typeof wholes], least, most); // prettier-ignore
  whole('checkpoints.every', checkpoints?.every ?? trainDefaults.checkpointEvery);
  whole('checkpoints.keep', checkpoints?.keep ?? trainDefaults.keepCheckpoints);
  oneOf('onBadLoss', options.onBadLoss, ['stop', 'skip', 'backoff']);
  oneOf('onBadSample', options.onBadSample, ['fail', 'skip']);
  return options;
}

/** The groups of all options together: what is said in general first, what the user says last. */
export function groupsOf({ weightDecay, loraPlusRatio, groups = [], lr }: CheckedOptions): ParameterGroup[] {
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

/** @throws OnnxLoraError `CONFIG_INVALID` for a name that nobody brings, and for settings that cannot be */
export function optimizerOf(
  given: NonNullable<TrainOptions['optimizer']>,
  { optimizers }: Pick<PluginRegistry, 'optimizers'>,
): Optimizer {
  if (typeof given === 'object' && 'update' in given) return given as Optimizer;
  const { name, ...settings } = typeof given === 'string' ? { name: given } : given;
  const brought = optimizers.find((each) => each.name === name);
  if (brought) return brought.create(settings);
  if (optimizerNames.some((each) => each === name)) return createOptimizer({ name, ...settings } as OptimizerOptions);
  const names = [...optimizerNames, ...optimizers.map((each) => each.name)];
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    `There is no optimizer "${name}".${didYouMean(String(name), names)} Choose one of ${names.join(', ')}.`,
  );
}
