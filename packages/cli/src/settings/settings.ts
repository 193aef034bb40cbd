/** @file Every setting that has both a flag and a key in a YAML file, from the tables that say which options they are. */

import { adapterTable } from './adapter.ts';
import { folderTable, inputTable } from './inputs.ts';
import { type CommandSettingInfo, keyOf, type SettingName } from './setting.ts';
import { trainingTable } from './training.ts';

/** All settings, in the order in which `--help` and a written config.yaml show them. */
export const settingInfos: Readonly<Record<SettingName, CommandSettingInfo>> = Object.fromEntries(
  [inputTable, adapterTable, trainingTable, folderTable].flatMap(({ rows }) => rows.map((row) => [row.name, row])),
) as Record<SettingName, CommandSettingInfo>;

/** The flag of a setting, with its dashes. */
export function flagOf(name: SettingName): string {
  return `--${settingInfos[name].flag ?? keyOf(name)}`;
}

/** What a setting is for, with its default. */
export function descriptionOf(name: SettingName): string {
  const { description, default: value } = settingInfos[name];
  return value === undefined || typeof value === 'boolean' ? description : `${description} (default: ${value})`;
}

/** What PEFT, transformers and people call a setting that has another name here; keys as in YAML. */
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

/** The setting that is called so elsewhere, such as `learning-rate`; undefined where there is none. */
export function settingElsewhere(key: string): SettingName | undefined {
  return Object.hasOwn(otherNames, key) ? otherNames[key] : undefined;
}
