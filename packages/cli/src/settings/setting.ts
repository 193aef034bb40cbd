/** @file What a setting of the command is: its values, and what the command says of it beyond what any table does. */

import type { LoraOptions, PrecisionName, TrainOptions } from '@onnx-lora/sdk';
import type { SettingInfo, SettingTable, SettingValue, SettingValues } from '@onnx-lora/sdk/plugin';
import type { FlagFacts, ScheduleName } from '@onnx-lora/sdk/core';

/** Options of `train` that are a number, a word, true or false, and settings as they are. */
type PlainSettings = {
  -readonly [
    Name in Exclude<keyof TrainOptions, 'evaluateEvery' | 'resume' | 'stopAfter' | 'maxBadLosses'> as [
      Exclude<TrainOptions[Name], undefined>,
    ] extends [SettingValue]
      ? Name
      : never
  ]?: Exclude<TrainOptions[Name], undefined>;
};

/** Values of settings; what is absent was not given. */
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
  precision?: PrecisionName;
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

/** Keys and values as they stand in a file. */
export type Content = Readonly<Record<string, unknown>>;

/** What an input of the model may be fixed to, before it is read as the input's type. */
export type FixedSetting = string | number | boolean | (number | boolean)[];

/** The name of a setting in code; its flag is `--batch-size` for `batchSize`. */
export type SettingName = keyof Settings;

/** What the command says of a setting beyond what any table does. */
export interface CommandSetting extends FlagFacts {
  /** Flags that may come many times: with a name and a value each, or a value each. */
  readonly form?: 'pairs' | 'each';
  /** The flag, where it is not the key: `plugin` for `plugins`, `no-eval` for an `eval` that is false. */
  readonly flag?: string;
}

/** One setting, as the command has it. */
export type CommandSettingInfo = SettingInfo & CommandSetting;

/** `batchSize` → `batch-size`: the key in a YAML file, and of nearly all the flag without its dashes. */
export function keyOf(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** The options that settings of a table are; those of other tables are passed over. */
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
