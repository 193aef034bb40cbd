/** @file The `continual` section of the config file. */

import type { ContinualMethod } from '@onnx-lora/methods';
import { settingsOf, type SettingTable } from '@onnx-lora/sdk/plugin';
import { z } from 'zod';
import type { CommandSetting } from './setting.ts';

export interface ContinualSettings {
  /** Data by task name, in training order. */
  readonly tasks: Readonly<Record<string, string>>;
  readonly method?: ContinualMethod;
  readonly replayExamples?: number;
  readonly lambda?: number;
}

/** Repeated here, so that help need not load `@onnx-lora/methods`. */
const methods: Readonly<Record<ContinualMethod, true>> = {
  sequential: true,
  replay: true,
  'o-lora': true,
  'inf-lora': true,
  'sd-lora': true,
  ewc: true,
  merge: true,
};

export const continualTable: SettingTable<ContinualSettings, CommandSetting> = settingsOf({
  tasks: {
    kind: 'other',
    // JavaScript would reorder integer keys.
    schema: z.record(z.string().regex(/\D/), z.string().min(1), {
      error: 'must be names, no whole numbers, and folders, such as turned: data/turned',
    }),
    description: 'the tasks in order: a name and its data each',
  },
  method: {
    kind: 'choice',
    of: Object.keys(methods) as ContinualMethod[],
    description: 'how the tasks before are kept',
    default: 'sequential',
  },
  replayExamples: {
    kind: 'number',
    whole: true,
    min: 1,
    description: 'replay: examples of each task before that are trained again (default: 100)',
  },
  lambda: { kind: 'number', min: 0, description: 'o-lora, ewc: how much the tasks before count (default: 0.5, 1000)' },
});
