/** @file The command's settings: values, names, and facts about flags. */

import type { LoraOptions, PrecisionName, TrainOptions } from '@onnx-lora/sdk';
import type { SettingInfo, SettingTable, SettingValue, SettingValues } from '@onnx-lora/sdk/plugin';
import type { FlagFacts, ScheduleName } from '@onnx-lora/sdk/core';

/** Options of `train` that are plain values, under the same names. */
type PlainSettings = {
  -readonly [
    Name in Exclude<keyof TrainOptions, 'evaluateEvery' | 'resume' | 'stopAfter' | 'maxBadLosses'> as [
      Exclude<TrainOptions[Name], undefined>,
    ] extends [SettingValue]
      ? Name
      : never
  ]?: Exclude<TrainOptions[Name], undefined>;
};

/** Values of settings; absent ones were not given. */
export interface Settings
  extends
    PlainSettings,
    Pick<
      LoraOptions,
      | 'r'
      | 'loraAlpha'
      | 'modulesToSave'
      | 'targetParameters'
      | 'bias'
      | 'loraBias'
      | 'loraDropout'
      | 'loraDropoutPattern'
      | 'ensureWeightTying'
    > {
  model?: string;
  fix?: Record<string, FixedSetting>;
  precision?: PrecisionName | 'auto';
  data?: string;
  validation?: string | number;
  task?: string;
  set?: Record<string, SettingValue>;
  adapter?: string;
  from?: string;
  targets?: string | string[];
  tuner?: string;
  rslora?: boolean;
  dora?: boolean;
  excludeModules?: string[];
  layersToTransform?: string | number | number[];
  layersPattern?: string[];
  rankPattern?: string | Record<string, number>;
  alphaPattern?: string | Record<string, number>;
  trainableTokenIndices?: string | number[] | Record<string, number[]>;
  init?: string;
  original?: string;
  optimizer?: string;
  schedule?: ScheduleName;
  sampling?: 'uniform' | 'balanced' | 'length';
  clipNorm?: number;
  ema?: number;
  eval?: boolean;
  evalEvery?: number | 'epoch';
  metric?: string;
  patience?: number;
  minDelta?: number;
  cachePrefix?: number | 'auto' | 'off';
  checkpointEvery?: number;
  keepCheckpoints?: number;
  tensorboard?: boolean;
  track?: readonly string[];
  plugins?: readonly string[];
  out?: string;
}

export type Content = Readonly<Record<string, unknown>>;

/** A value of `--fix`, before it is converted to the input's type. */
export type FixedSetting = string | number | boolean | (number | boolean)[];

/** A setting's name in code; its flag is `--batch-size` for `batchSize`. */
export type SettingName = keyof Settings;

export interface CommandSetting extends FlagFacts {
  /** Repeatable flags: name=value pairs, or one value each. */
  readonly form?: 'pairs' | 'each';
  /** The flag, where it differs from the key: `plugin` for `plugins`, `no-eval` for `eval: false`. */
  readonly flag?: string;
}

export type CommandSettingInfo = SettingInfo & CommandSetting;

/** `batchSize` → `batch-size`: the config key, and mostly the flag. */
export function keyOf(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** Converts settings to the options of a table; other tables' settings are ignored. */
export function optionsIn<Options>(
  settings: Settings,
  table: SettingTable<Options, CommandSetting>,
): ReturnType<SettingTable<Options>['read']> {
  const names = new Set(table.rows.map(({ name }) => name));
  const own = Object.entries(settings).filter(([name, value]) => names.has(name) && value !== undefined);
  return table.read(Object.fromEntries(own) as SettingValues, {
    where: (name) => `--${keyOf(name)}`,
  });
}
