/** @file The settings of a training run with every default filled in, as YAML and as a command. */

import type { TaskFactory } from '@onnx-lora/sdk/plugin';
import { stringify } from 'yaml';
import { flagOf, keyOf, type SettingName, settingInfos, type Settings } from './settings.ts';

/** Settings of a run that are never left open. */
export type ResolvedSettings = Settings &
  Required<
    Pick<
      Settings,
      | 'model'
      | 'data'
      | 'task'
      | 'batchSize'
      | 'lr'
      | 'schedule'
      | 'warmupSteps'
      | 'seed'
      | 'provider'
      | 'checkpointEvery'
      | 'out'
    >
  >;

/** What cannot be defaulted: it comes from the command line, or from the model. */
type Named = Required<Pick<Settings, 'model' | 'data' | 'task' | 'out'>> & Pick<Settings, 'targets'>;

/** Fills in the defaults, which are the task's or else the SDK's. */
export function resolveSettings(
  given: Settings,
  named: Named,
  defaults: TaskFactory['defaults'] = {},
): ResolvedSettings {
  const settings = { ...defaults, ...given };
  const r = settings.r ?? 8;
  const { epochs, ...rest } = settings;
  return {
    ...rest,
    // Steps override epochs, so only what counts is kept.
    ...(settings.steps === undefined ? { epochs: epochs ?? 3 } : {}),
    ...named,
    // Of another tuner these are not, and an adapter to begin with has its own.
    ...(settings.tuner === undefined && settings.from === undefined ? { r, alpha: settings.alpha ?? 2 * r } : {}),
    batchSize: settings.batchSize ?? 32,
    lr: settings.lr ?? 1e-3,
    schedule: settings.schedule ?? 'linear',
    warmupSteps: settings.warmupSteps ?? 0,
    seed: settings.seed ?? 0,
    provider: settings.provider ?? 'auto',
    checkpointEvery: settings.checkpointEvery ?? 100,
  };
}

/** The config.yaml of a run; `--config` reads it back. */
export function formatConfig(settings: Settings): string {
  return `# Settings of this run. To go on with it: onnx-lora train --resume <this folder>\n# To repeat it: onnx-lora train --config <this file> --out <another folder>\n${stringify(configOf(settings))}`;
}

/** Settings by their keys in a file. */
export function configOf(settings: Settings): Record<string, unknown> {
  return Object.fromEntries(inOrder(settings).map(([name, value]) => [keyOf(name), value]));
}

/** The command that repeats a run, for a POSIX shell. */
export function formatCommand(settings: Settings): string {
  const words = inOrder(settings).flatMap(([name, value]) => {
    const { form, default: usual = false } = settingInfos[name];
    if (form === 'switch') return value === usual ? [] : [flagOf(name)];
    if (settingInfos[name].form === 'each') {
      return (value as string[]).flatMap((each) => [flagOf(name), quoted(each)]);
    }
    if (settingInfos[name].form === 'pairs') {
      return Object.entries(value as object).flatMap(([key, each]) => [flagOf(name), quoted(`${key}=${wordOf(each)}`)]);
    }
    return [flagOf(name), quoted(wordOf(value))];
  });
  return ['onnx-lora train', ...words].join(' ');
}

/** A value as its flag takes it. */
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

/** A word as a POSIX shell takes it. */
export function quoted(word: string): string {
  return /^[\w./:,=@%+-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;
}
