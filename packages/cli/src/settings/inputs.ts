/** @file Settings of the command itself: inputs and outputs. */

import { settingsOf, type SettingTable } from '@onnx-lora/sdk/plugin';
import { precisionNames } from '@onnx-lora/sdk/core';
import { z } from 'zod';
import type { CommandSetting, Settings } from './setting.ts';

/** A folder or a fraction. Number-like text such as `20%` or `0,2` is refused as a folder. */
function folderOrFraction(): z.ZodType {
  const error = 'must be a folder, or a fraction between 0 and 1 such as 0.2';
  const fraction = z.number({ error }).gte(0, { error }).lt(1, { error });
  const folder = z
    .string({ error })
    .min(1, { error })
    .regex(/^(?![+-]?[\d.,]*\d[\d.,]*%?$)/, { error });
  return z.preprocess(
    (value) =>
      typeof value === 'string' && value.trim() !== '' && Number.isFinite(Number(value)) ? Number(value) : value,
    z.union([fraction, folder], { error }),
  );
}

/** Model, data, task, and the adapter to start from. */
export const inputTable: SettingTable<
  Pick<Settings, 'model' | 'fix' | 'precision' | 'data' | 'validation' | 'task' | 'set' | 'adapter' | 'from'>,
  CommandSetting
> = settingsOf({
  model: {
    kind: 'text',
    placeholder: '<path or id>',
    description: 'folder laid out like a published repository, .onnx file, or id on the hub',
    group: 'Model, data and task',
  },
  fix: {
    kind: 'other',
    schema: z.record(
      z.string(),
      z.union([z.string(), z.number(), z.boolean(), z.array(z.union([z.number(), z.boolean()]))], {
        error: 'must be a number, true or false, or several with commas between',
      }),
      { error: 'must be inputs and values, such as sr: 16000' },
    ),
    form: 'pairs',
    placeholder: '<input=value>',
    description: 'sets an input of the model to a constant, such as sr=16000; repeatable',
    group: 'Model, data and task',
  },
  precision: {
    kind: 'choice',
    of: [...precisionNames, 'auto'],
    placeholder: '<which>',
    description:
      'precision of frozen layers: int8 (int8-backward: gradients only) on the CPU, float16 on a GPU; int4 and nf4 save memory; bfloat16: all, with --provider openvino; auto (train only): the fastest of this machine',
    default: 'float32',
    group: 'Model, data and task',
  },
  data: {
    kind: 'text',
    placeholder: '<folder>',
    description: 'the data; for image-classification a folder per class, or such folders in train/ and test/',
    group: 'Model, data and task',
  },
  validation: {
    kind: 'other',
    schema: folderOrFraction(),
    placeholder: '<folder|fraction>',
    description: 'held-out data to measure: another folder, or a fraction of --data such as 0.2; 0 for none',
    group: 'Model, data and task',
  },
  task: {
    kind: 'text',
    placeholder: '<name>',
    description: "the task to learn; default: the usual one of the model's family",
    group: 'Model, data and task',
  },
  set: {
    kind: 'other',
    schema: z.record(
      z.string(),
      z.union([z.string(), z.number(), z.boolean(), z.array(z.string())], {
        error: 'must be text, a number, true or false, or a list of texts',
      }),
      { error: 'must be names and values, such as augment: standard' },
    ),
    form: 'pairs',
    placeholder: '<name=value>',
    description: 'a setting of the task; repeatable (see onnx-lora tasks)',
    group: 'Model, data and task',
  },
  adapter: {
    kind: 'text',
    placeholder: '<path>',
    description: 'PEFT folder, folder of a training run, or .onnx_adapter file',
  },
  from: {
    kind: 'text',
    placeholder: '<run|adapter>',
    description:
      'start from this adapter, with its modules, ranks and head: folder of a run, PEFT folder or .onnx_adapter file',
    group: 'Target modules',
  },
});

/** Trackers, plugins, and the output path. */
export const folderTable: SettingTable<
  Pick<Settings, 'tensorboard' | 'track' | 'plugins' | 'out'>,
  CommandSetting
> = settingsOf({
  tensorboard: {
    kind: 'flag',
    description: 'write tensorboard/ into the folder of the run',
    group: 'The run and its folder',
  },
  track: {
    kind: 'texts',
    form: 'each',
    placeholder: '<name>',
    description: "a tracker of the run: tensorboard, or a plugin's; repeatable",
    group: 'The run and its folder',
  },
  plugins: {
    kind: 'texts',
    form: 'each',
    flag: 'plugin',
    placeholder: '<package>',
    description: 'load a plugin first: an installed package, or the path of a .js file; repeatable',
    group: 'Model, data and task',
  },
  out: {
    kind: 'text',
    placeholder: '<path>',
    description: 'path of the result',
    group: 'The run and its folder',
  },
});
