/** @file Settings that the tasks with one answer per image share on the command line (`--set name=value`). */

import type { TaskOptions, TaskSetting } from '@onnx-lora/sdk/plugin';
import { choice } from '@onnx-lora/sdk/tasks';
import { augmentationsFrom, augmentSetting } from '../../augment/augment.ts';
import { dataSettings } from '../../data/dataSettings.ts';
import type { ImageTaskOptions } from './imageExamples.ts';

/** What the settings are called. */
export const imageSettings: readonly TaskSetting[] = [
  augmentSetting,
  {
    name: 'head',
    kind: 'text',
    description: 'auto (a new head where the model does not know the labels; the default), new, or keep.',
  },
  ...dataSettings,
];

/** What they say of augmentations and of the head. */
export function imageOptions({ settings = {} }: TaskOptions): Pick<ImageTaskOptions, 'augment' | 'head'> {
  return {
    augment: augmentationsFrom(settings),
    head: choice('head', settings['head'], ['auto', 'new', 'keep']),
  };
}
