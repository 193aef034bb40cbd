/** @file All settings that have a flag and a config key. */

import { adapterTable } from './adapter.ts';
import { folderTable, inputTable } from './inputs.ts';
import { type CommandSettingInfo, keyOf, type SettingName } from './setting.ts';
import { trainingTable } from './training.ts';

/** All settings, in the order of `--help` and config.yaml. */
export const settingInfos: Readonly<Record<SettingName, CommandSettingInfo>> = Object.fromEntries(
  [inputTable, adapterTable, trainingTable, folderTable].flatMap(({ rows }) => rows.map((row) => [row.name, row])),
) as Record<SettingName, CommandSettingInfo>;

/** The flag of a setting, with dashes. */
export function flagOf(name: SettingName): string {
  return `--${settingInfos[name].flag ?? keyOf(name)}`;
}

/** A setting's description with its default. */
export function descriptionOf(name: SettingName): string {
  const { description, default: value } = settingInfos[name];
  return value === undefined || typeof value === 'boolean' ? description : `${description} (default: ${value})`;
}

/** Other tools' names of our settings, as config keys. */
const otherNames: Readonly<Record<string, SettingName>> = {
  rank: 'r',
  'lora-r': 'r',
  'lora-rank': 'r',
  alpha: 'loraAlpha',
  dropout: 'loraDropout',
  'target-modules': 'targets',
  'use-rslora': 'rslora',
  'use-dora': 'dora',
  'init-lora-weights': 'init',
  'learning-rate': 'lr',
  'lr-scheduler': 'schedule',
  'lr-scheduler-type': 'schedule',
  optim: 'optimizer',
  'max-grad-norm': 'clipNorm',
  'warmup-ratio': 'warmupSteps',
  'max-steps': 'steps',
  'num-epochs': 'epochs',
  'num-train-epochs': 'epochs',
  batch: 'batchSize',
  'train-batch-size': 'batchSize',
  'per-device-train-batch-size': 'batchSize',
  'gradient-accumulation-steps': 'accumulationSteps',
  'save-steps': 'checkpointEvery',
  'save-total-limit': 'keepCheckpoints',
  'eval-steps': 'evalEvery',
  'load-best-model-at-end': 'loadBest',
  'metric-for-best-model': 'metric',
  'early-stopping-patience': 'patience',
  'model-name-or-path': 'model',
  dataset: 'data',
  output: 'out',
  'output-dir': 'out',
  device: 'provider',
};

/** The setting that other tools call so, such as `learning-rate`; undefined if unknown. */
export function settingElsewhere(key: string): SettingName | undefined {
  return Object.hasOwn(otherNames, key) ? otherNames[key] : undefined;
}
