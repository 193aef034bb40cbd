/** @file Settings of the command line as the SDK's options of a run. */

import type { MetricChoice, TrainOptions } from '@onnx-lora/sdk';
import { usageError } from './errors.ts';
import { machineOptions } from './lora.ts';
import type { ResolvedSettings } from './runConfig.ts';
import type { Settings } from './settings.ts';

const MEGABYTE = 2 ** 20;

/** Options for `train`, but for the task, the adapter and the folder; what was not given is left to the SDK. */
export function trainOptions(settings: ResolvedSettings): Omit<TrainOptions, 'task'> {
  const { steps, epochs, patience, minDelta, metric, clipNorm, ema } = settings;
  const options = {
    ...(steps === undefined ? { epochs } : { steps }),
    batchSize: settings.batchSize,
    accumulationSteps: settings.accumulationSteps,
    sampling: settings.sampling,
    batchLength: settings.batchLength,
    lr: settings.lr,
    optimizer: settings.optimizer,
    schedule: settings.schedule,
    warmupSteps: settings.warmupSteps,
    weightDecay: settings.weightDecay,
    loraPlusRatio: settings.loraPlusRatio,
    clip: clipNorm === undefined ? undefined : { norm: clipNorm },
    ema: ema === undefined ? undefined : { decay: ema },
    evaluateEvery: settings.evalEvery,
    metric: metric === undefined ? undefined : metricChoice(metric),
    earlyStopping: patience === undefined ? undefined : { patience, ...(minDelta === undefined ? {} : { minDelta }) },
    loadBest: settings.loadBest,
    onBadLoss: settings.onBadLoss,
    onBadSample: settings.onBadSample,
    prefetch: settings.prefetch,
    memory: typeof settings.memory === 'number' ? settings.memory * MEGABYTE : settings.memory,
    cachePrefix: cachePrefixOf(settings.cachePrefix),
    seed: settings.seed,
    initBatches: settings.initBatches,
    ...machineOptions(settings),
  };
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}

/** @throws OnnxLoraError `CONFIG_INVALID` for settings that have no use without others */
export function requireTogether({ minDelta, patience }: Settings): void {
  if (minDelta === undefined || patience !== undefined) return;
  throw usageError(
    '--min-delta says what counts for --patience, which is not given. Give it, or leave --min-delta out.',
  );
}

function cachePrefixOf(setting: ResolvedSettings['cachePrefix']): TrainOptions['cachePrefix'] {
  if (typeof setting === 'number') return { bytes: setting * MEGABYTE };
  return setting === 'off' ? false : setting;
}

/** The metric to compare by, as `--metric` names it: `loss`, or `loss:lower`. */
export function metricChoice(text: string): MetricChoice {
  const [, name = text, better] = /^(.+):(higher|lower)$/.exec(text) ?? [];
  return better === undefined ? { name } : { name, better: better as 'higher' | 'lower' };
}
