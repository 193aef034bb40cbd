/** @file How it is trained, each setting the SDK's option that it is. */

import type { MetricChoice, TrainOptions } from '@onnx-lora/sdk';
import { settingsOf, type SettingTable } from '@onnx-lora/sdk/plugin';
import {
  type BadLossPolicy,
  type BadSamplePolicy,
  optimizerNames,
  providerNames,
  scheduleNames,
  trainDefaults,
} from '@onnx-lora/sdk/core';
import { z } from 'zod';
import { usageError } from '../terminal/errors.ts';
import { namedOrJson } from './named.ts';
import { type CommandSetting, optionsIn, type Settings } from './setting.ts';

const MILLION = 1_000_000;
const MEGABYTE = 2 ** 20;

const badLosses = ['stop', 'skip', 'backoff'] as const satisfies readonly BadLossPolicy[];
const badSamples = ['fail', 'skip'] as const satisfies readonly BadSamplePolicy[];

/** One of these words, or another that a plugin brings; whoever uses it says if there is none such. */
function nameSuchAs(words: readonly string[]): z.ZodType {
  return z.string({ error: `must be a name, such as ${words.join(', ')}` }).min(1, { error: 'must not be empty' });
}

/** Settings of a run, and of what measures and answers. */
export const trainingTable: SettingTable<Omit<TrainOptions, 'task'> & { readonly eval: boolean }, CommandSetting> =
  settingsOf({
    initBatches: {
      kind: 'number',
      whole: true,
      min: 1,
      max: MILLION,
      description: 'batches that corda, eva and lora_ga look at',
      default: trainDefaults.initBatches,
      group: 'The adapter',
    },
    steps: {
      kind: 'number',
      whole: true,
      min: 1,
      description: 'optimizer steps; overrides --epochs',
      group: 'Steps and batches',
    },
    epochs: {
      kind: 'number',
      above: 0,
      max: MILLION,
      description: 'passes over the data',
      default: trainDefaults.epochs,
      group: 'Steps and batches',
    },
    batchSize: {
      kind: 'number',
      whole: true,
      min: 1,
      max: MILLION,
      description: `examples at a time (default: ${trainDefaults.batchSize}, or the task's)`,
      group: 'Steps and batches',
    },
    accumulationSteps: {
      kind: 'number',
      whole: true,
      min: 1,
      max: MILLION,
      description: 'batches whose gradients make one step',
      default: trainDefaults.accumulationSteps,
      group: 'Steps and batches',
    },
    sampling: {
      kind: 'choice',
      of: ['uniform', 'balanced', 'length'],
      placeholder: '<how>',
      description:
        'uniform; balanced: every class equally often, however many examples it has; or length: batches of examples of about one length',
      default: 'uniform',
      group: 'Steps and batches',
    },
    batchLength: {
      kind: 'number',
      above: 0,
      placeholder: '<n>',
      description:
        'with --sampling length: most tokens (or seconds) of a batch, padding included; short examples then come in larger batches, up to --batch-size',
      group: 'Steps and batches',
    },
    lr: {
      kind: 'number',
      above: 0,
      description: 'highest learning rate',
      default: trainDefaults.lr,
      group: 'How it learns',
    },
    optimizer: {
      kind: 'other',
      schema: nameSuchAs(optimizerNames),
      placeholder: '<name>',
      description: `one of ${optimizerNames.join(', ')}, or one that a plugin brings; or JSON with its settings`,
      to: (text: string) => namedOrJson(text, '--optimizer', 'muon'),
      default: 'adamw',
      group: 'How it learns',
    },
    schedule: {
      kind: 'choice',
      of: scheduleNames,
      placeholder: '<name>',
      description: `course of the learning rate: ${scheduleNames.join(', ')}`,
      default: trainDefaults.schedule,
      group: 'How it learns',
    },
    warmupSteps: {
      kind: 'number',
      min: 0,
      placeholder: '<n>',
      description: 'steps over which the learning rate first rises; below 1: this part of all steps',
      default: trainDefaults.warmupSteps,
      group: 'How it learns',
    },
    weightDecay: {
      kind: 'number',
      min: 0,
      description: 'weight decay (default: 0.01 with adamw)',
      group: 'How it learns',
    },
    loraPlusRatio: {
      kind: 'number',
      above: 0,
      description: 'LoRA+: lora_B learns so many times faster than lora_A',
      group: 'How it learns',
    },
    clip: {
      norm: {
        name: 'clipNorm',
        kind: 'number',
        above: 0,
        description: 'bound the norm of all gradients together',
        group: 'How it learns',
      },
    },
    ema: {
      decay: {
        name: 'ema',
        kind: 'number',
        above: 0,
        below: 1,
        example: 0.999,
        placeholder: '<decay>',
        description: 'average the adapter over the last steps, such as 0.999; the average is measured and saved',
        group: 'How it learns',
      },
    },
    eval: {
      kind: 'flag',
      flag: 'no-eval',
      description: 'do not measure before and after (in a file: eval: false)',
      default: true,
      group: 'What is measured',
    },
    evaluateEvery: {
      name: 'evalEvery',
      kind: 'number',
      whole: true,
      min: 1,
      or: ['epoch'],
      unit: 'steps',
      placeholder: '<n|epoch>',
      description: 'measure the held-out data every n steps, or after each epoch',
      group: 'What is measured',
    },
    metric: {
      kind: 'text',
      placeholder: '<name>',
      description:
        "metric by which --load-best and --patience compare; name:lower or name:higher says which is better (default: the task's first)",
      to: metricChoice,
      group: 'What is measured',
    },
    earlyStopping: {
      patience: {
        kind: 'number',
        whole: true,
        min: 1,
        description: 'stop early after n measurements without a better one',
        group: 'What is measured',
      },
      minDelta: {
        kind: 'number',
        min: 0,
        placeholder: '<x>',
        description: 'how much better a measurement must be to count for --patience',
        default: 0,
        group: 'What is measured',
      },
    },
    loadBest: {
      kind: 'flag',
      description: 'keep the adapter that measured best, not the last one',
      group: 'What is measured',
    },
    onBadLoss: {
      kind: 'choice',
      of: badLosses,
      placeholder: '<what>',
      description: `when a loss is no number: ${badLosses.join(', ')} (skip the batch and halve the learning rate)`,
      default: trainDefaults.onBadLoss,
      group: 'When something is wrong',
    },
    onBadSample: {
      kind: 'choice',
      of: badSamples,
      placeholder: '<what>',
      description: `when a file cannot be read: ${badSamples.join(', ')}`,
      default: trainDefaults.onBadSample,
      group: 'When something is wrong',
    },
    prefetch: {
      kind: 'number',
      whole: true,
      min: 0,
      max: 1000,
      description: 'batches that load while a step computes',
      default: trainDefaults.prefetch,
      group: 'Where it runs',
    },
    memory: {
      kind: 'number',
      above: 0,
      or: ['auto'],
      unit: 'megabytes',
      placeholder: '<auto|MB>',
      description: 'megabytes that a step may keep for its gradients; the rest is computed again',
      default: 'auto',
      to: bytesOf,
      group: 'Where it runs',
    },
    cachePrefix: {
      kind: 'number',
      above: 0,
      or: ['auto', 'off'],
      unit: 'megabytes',
      placeholder: '<auto|off|MB>',
      description: 'keep what frozen layers below the adapter give for each example, up to so many megabytes',
      default: 'auto',
      to: cachePrefixOf,
      group: 'Where it runs',
    },
    seed: {
      kind: 'number',
      whole: true,
      min: 0,
      max: 2 ** 32 - 1,
      description: 'the same seed gives the same run',
      default: trainDefaults.seed,
      group: 'Steps and batches',
    },
    provider: {
      kind: 'other',
      schema: nameSuchAs(providerNames),
      placeholder: '<name>',
      description: `where it runs: ${providerNames.join(', ')}`,
      default: 'auto',
      group: 'Where it runs',
    },
    threads: {
      kind: 'number',
      whole: true,
      min: 1,
      max: 256,
      description: 'threads of the CPU (default: all cores)',
      group: 'Where it runs',
    },
  });

/** Options for `train`, but for the task, the adapter and the folder; what was not given is left to the SDK. */
export function trainOptions(settings: Settings): Omit<TrainOptions, 'task'> {
  const { eval: _, ...options } = optionsIn(settings, trainingTable);
  return options;
}

/** Provider and threads, as sessions take them. */
export function machineOptions({ provider, threads }: Settings): Pick<Settings, 'provider' | 'threads'> {
  return { ...(provider === undefined ? {} : { provider }), ...(threads === undefined ? {} : { threads }) };
}

/** @throws OnnxLoraError `CONFIG_INVALID` for settings that have no use without others */
export function requireTogether({ minDelta, patience }: Settings): void {
  if (minDelta === undefined || patience !== undefined) return;
  throw usageError(
    '--min-delta says what counts for --patience, which is not given. Give it, or leave --min-delta out.',
  );
}

function bytesOf(megabytes: number | string): number | 'auto' {
  return typeof megabytes === 'number' ? megabytes * MEGABYTE : 'auto';
}

function cachePrefixOf(megabytes: number | string): NonNullable<TrainOptions['cachePrefix']> {
  if (typeof megabytes === 'number') return { bytes: megabytes * MEGABYTE };
  return megabytes === 'off' ? false : 'auto';
}

/** The metric to compare by, as `--metric` names it: `loss`, or `loss:lower`. */
export function metricChoice(text: string): MetricChoice {
  const [, name = text, better] = /^(.+):(higher|lower)$/.exec(text) ?? [];
  return better === undefined ? { name } : { name, better: better as 'higher' | 'lower' };
}
