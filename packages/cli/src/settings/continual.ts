/** @file What stands under `continual` in the file of tasks that are learned one after the other. */

import type { ContinualMethod } from '@onnx-lora/methods';
import { settingsOf, type SettingTable } from '@onnx-lora/sdk/plugin';
import { z } from 'zod';
import type { CommandSetting } from './setting.ts';

/** What stands under `continual`. */
export interface ContinualSettings {
  /** By their names the data of the tasks, in the order in which they are learned. */
  readonly tasks: Readonly<Record<string, string>>;
  readonly method?: ContinualMethod;
  readonly replayExamples?: number;
  readonly lambda?: number;
}

/** All of them, so that help need not load what they do. */
const methods: Readonly<Record<ContinualMethod, true>> = {
  sequential: true,
  replay: true,
  'o-lora': true,
  'inf-lora': true,
  'sd-lora': true,
  ewc: true,
  merge: true,
};

/** The settings of tasks that are learned one after the other. */
export const continualTable: SettingTable<ContinualSettings, CommandSetting> = settingsOf({
  tasks: {
    kind: 'other',
    // Keys that are whole numbers come in an order of their own.
    schema: z.record(z.string().regex(/\D/), z.string().min(1), {
      error: 'must be names, no whole numbers, and folders, such as turned: data/turned',
    }),
    description: 'what is learned, in this order: a name and its data each',
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
