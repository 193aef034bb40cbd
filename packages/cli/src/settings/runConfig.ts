/** @file A run's settings with all defaults filled in, as YAML and as a command. */

import type { TaskFactory } from '@onnx-lora/sdk/plugin';
import { DEFAULT_RANK, trainDefaults } from '@onnx-lora/sdk/core';
import { stringify } from 'yaml';
import { flagOf, settingInfos } from './settings.ts';
import { keyOf, type SettingName, type Settings } from './setting.ts';

/** Settings that are always written down. */
const always = ['lr', 'schedule', 'warmupSteps', 'seed', 'provider', 'checkpointEvery'] as const;

/** Settings of a run with those that are never open. */
export type ResolvedSettings = Settings &
  Required<Pick<Settings, 'model' | 'data' | 'task' | 'out' | 'batchSize' | (typeof always)[number]>>;

/** Settings without defaults, from the command line or the model. */
type Named = Required<Pick<Settings, 'model' | 'data' | 'task' | 'out'>> & Pick<Settings, 'targets'>;

/** Fills in the task's defaults, else the SDK's. */
export function resolveSettings(
  given: Settings,
  named: Named,
  defaults: TaskFactory['defaults'] = {},
): ResolvedSettings {
  const rank = given.tuner === undefined && given.from === undefined ? (given.r ?? DEFAULT_RANK) : undefined;
  const { epochs, ...settings } = {
    ...Object.fromEntries(always.map((name) => [name, settingInfos[name].default])),
    batchSize: trainDefaults.batchSize,
    epochs: trainDefaults.epochs,
    ...defaults,
    ...given,
  } as ResolvedSettings;
  return {
    ...settings,
    // Steps override epochs; only the effective one is kept.
    ...(given.steps === undefined && epochs !== undefined ? { epochs } : {}),
    ...named,
    ...(rank === undefined ? {} : { r: rank, loraAlpha: given.loraAlpha ?? 2 * rank }),
  };
}

/** The config.yaml of a run, which `--config` reads. */
export function formatConfig(settings: Settings): string {
  return `# Settings of this run. To continue with it: onnx-lora train --resume <this folder>\n# To repeat it: onnx-lora train --config <this file> --out <another folder>\n${stringify(configOf(settings))}`;
}

/** Settings by their config keys. */
export function configOf(settings: Settings): Record<string, unknown> {
  return Object.fromEntries(inOrder(settings).map(([name, value]) => [keyOf(name), value]));
}

/** The command that repeats a run, for a POSIX shell. */
export function formatCommand(settings: Settings): string {
  const words = inOrder(settings).flatMap(([name, value]) => {
    const { kind, form, default: usual = false } = settingInfos[name];
    if (kind === 'flag') return value === usual ? [] : [flagOf(name)];
    if (form === 'each') {
      return (value as string[]).flatMap((each) => [flagOf(name), quoted(each)]);
    }
    if (form === 'pairs') {
      return Object.entries(value as object).flatMap(([key, each]) => [flagOf(name), quoted(`${key}=${wordOf(each)}`)]);
    }
    return [flagOf(name), quoted(wordOf(value))];
  });
  return ['onnx-lora train', ...words].join(' ');
}

/** A value in the flag's notation. */
export function wordOf(value: unknown): string {
  if (Array.isArray(value)) return value.join(',');
  if (typeof value !== 'object' || value === null) return String(value);
  return Object.entries(value)
    .map(([name, each]) => `${name}=${wordOf(each)}`)
    .join(';');
}

function inOrder(settings: Settings): [SettingName, Settings[SettingName]][] {
  const names = Object.keys(settingInfos) as SettingName[];
  return names.filter((name) => settings[name] !== undefined).map((name) => [name, settings[name]]);
}

/** Quotes a word for a POSIX shell. */
export function quoted(word: string): string {
  return /^[\w./:,=@%+-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;
}
