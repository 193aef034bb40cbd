/** @file Settings of training, as rows that map to the SDK's options. */

import type { MetricChoice, TrainOptions } from '@onnx-lora/sdk';
import { type AnyOptionRows, trainOptionRows } from '@onnx-lora/sdk/core';
import { withoutUndefined } from '@onnx-lora/sdk/data';
import { settingsOf, type SettingRows, type SettingTable } from '@onnx-lora/sdk/plugin';
import { usageError } from '../terminal/errors.ts';
import { namedOrJson } from './numbers.ts';
import { type CommandSetting, optionsIn, type Settings } from './setting.ts';

const MEGABYTE = 2 ** 20;

/** Flags whose values differ from the SDK's option. */
const ownForms = {
  optimizer: { to: (text: string) => namedOrJson(text, '--optimizer', 'muon') },
  metric: { to: metricChoice },
  memory: {
    unit: 'megabytes',
    to: (megabytes: number | 'auto') => (megabytes === 'auto' ? 'auto' : megabytes * MEGABYTE),
  },
  cachePrefix: { kind: 'number', above: 0, or: ['auto', 'off'], unit: 'megabytes', to: cachePrefixOf },
  provider: { default: 'auto' },
};

type OptionsOfFlags = Omit<TrainOptions, 'task' | 'checkpoints'> & {
  readonly checkpoints?: Partial<NonNullable<TrainOptions['checkpoints']>>;
};

/** The SDK's options that have a flag. */
export const trainingTable: SettingTable<OptionsOfFlags & { readonly eval: boolean }, CommandSetting> = settingsOf({
  ...(withFlags(trainOptionRows, ownForms) as SettingRows<OptionsOfFlags, CommandSetting>),
  eval: {
    kind: 'flag',
    flag: 'no-eval',
    description: 'do not evaluate before and after (in a file: eval: false)',
    default: true,
    group: 'Evaluation',
  },
});

/** The rows that have a flag, including nested ones. */
function withFlags(
  rows: AnyOptionRows,
  forms: Readonly<Record<string, object>> = {},
): Readonly<Record<string, object>> {
  const found = Object.entries(rows).flatMap(([name, row]): [string, object][] => {
    if (row.group) return [[name, { ...row, ...forms[name] }]];
    const inner = withFlags(row.fields ?? {});
    return Object.keys(inner).length > 0 ? [[name, inner]] : [];
  });
  return Object.fromEntries(found);
}

/** Options for `train` without task and adapter; checkpoints go into `folder`. */
export function trainOptions(settings: Settings, folder: string, overwrite = false): Omit<TrainOptions, 'task'> {
  const { eval: _, ...options } = optionsIn(settings, trainingTable);
  return { ...options, checkpoints: { ...options.checkpoints, folder, overwrite } };
}

/** Session options: provider and threads. */
export function machineOptions({ provider, threads }: Settings): Pick<Settings, 'provider' | 'threads'> {
  return withoutUndefined({ provider, threads });
}

/** @throws OnnxLoraError `CONFIG_INVALID` for settings that need another one */
export function requireTogether({ minDelta, patience }: Settings): void {
  if (minDelta === undefined || patience !== undefined) return;
  throw usageError(
    '--min-delta needs --patience: it is the least gain that --patience counts. Give --patience, or leave --min-delta out.',
  );
}

function cachePrefixOf(megabytes: number | string): NonNullable<TrainOptions['cachePrefix']> {
  if (typeof megabytes === 'number') return { bytes: megabytes * MEGABYTE };
  return megabytes === 'off' ? false : 'auto';
}

/** Parses `--metric`: `loss`, or `loss:lower`. */
export function metricChoice(text: string): MetricChoice {
  const [, name = text, better] = /^(.+):(higher|lower)$/.exec(text) ?? [];
  return better === undefined ? { name } : { name, better: better as 'higher' | 'lower' };
}
