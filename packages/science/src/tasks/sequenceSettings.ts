/** @file Settings that tasks on sequences share on the command line (`--set name=value`). */

import { choice } from '@onnx-lora/sdk/tasks';
import type { TaskOptions, TaskSetting, TaskSettingValue } from '@onnx-lora/sdk/plugin';
import { dataOptions, dataSettings } from '../data/dataSettings.ts';
import type { BaselineOptions } from '../report/frozenEmbeddings.ts';
import type { SequenceHeadOptions } from './sequenceHead.ts';
import type { LengthOptions, SequenceTaskOptions } from './sequenceTask.ts';

/** Values of settings, of the kinds that they have. */
export type SettingValues = Readonly<Record<string, TaskSettingValue>>;

/** How long rows are. */
export const lengthSettings: readonly TaskSetting[] = [
  {
    name: 'maxLength',
    kind: 'number',
    description: "Most tokens of a sequence; what the model's files say by default.",
  },
  {
    name: 'tooLong',
    kind: 'text',
    description: 'Of longer sequences: crop (the beginning; default), windows (all of it, in pieces) or error.',
  },
  { name: 'overlap', kind: 'number', description: 'Tokens that neighbouring windows share; a quarter by default.' },
];

/** Lengths and data: what every task that is trained has. */
export const sequenceSettings: readonly TaskSetting[] = [...lengthSettings, ...dataSettings];

/** Of tasks that answer about whole sequences. */
export const headSettings: readonly TaskSetting[] = [
  {
    name: 'head',
    kind: 'text',
    description: 'auto (a new head where the model does not know the labels; the default), new, or keep.',
  },
  { name: 'pool', kind: 'text', description: 'What a new head reads: mean (of all tokens; the default) or first.' },
  {
    name: 'baselines',
    kind: 'flag',
    description: 'Compare LoRA with ridge and neighbours on frozen embeddings in the report (default: true).',
  },
];

/** @throws OnnxLoraError `CONFIG_INVALID` for a word that is none of the choices */
export function lengthOptions(settings: SettingValues = {}): LengthOptions {
  const { maxLength, overlap } = settings;
  return {
    ...(typeof maxLength === 'number' ? { maxLength } : {}),
    ...(typeof overlap === 'number' ? { overlap } : {}),
    tooLong: choice('tooLong', settings['tooLong'], ['crop', 'windows', 'error']),
  };
}

/** What the command line says of lengths and data. */
export function sequenceOptions({ validation, holdOut, seed, settings = {} }: TaskOptions): SequenceTaskOptions {
  return { validation, holdOut, seed, ...dataOptions(settings), ...lengthOptions(settings) };
}

/** What it says of the head, and of baselines. */
export function headOptions(settings: SettingValues = {}): SequenceHeadOptions & BaselineOptions {
  return {
    baselines: settings['baselines'] !== false,
    head: choice('head', settings['head'], ['auto', 'new', 'keep']),
    pool: choice('pool', settings['pool'], ['mean', 'first']),
  };
}
