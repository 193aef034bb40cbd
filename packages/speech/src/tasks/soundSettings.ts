/** @file What the command line may say of data and augmentations of sound (`--set name=value`). */

import type { TaskOptions, TaskSetting } from '@onnx-lora/sdk/plugin';
import { waveAugmentationsFrom, waveAugmentSetting } from '../augment/augmentWave.ts';
import { speechDataOptions, speechDataSettings } from '../data/dataSettings.ts';
import type { SoundTaskOptions } from './soundTask.ts';

/** What the settings are called. */
export const soundSettings: readonly TaskSetting[] = [
  waveAugmentSetting,
  { name: 'specAugment', kind: 'flag', description: 'Hides parts of the spectrograms in training.' },
  ...speechDataSettings,
];

/** What they say. */
export function soundTaskOptions(options: TaskOptions): SoundTaskOptions {
  return {
    ...speechDataOptions(options),
    augment: waveAugmentationsFrom(options.settings),
    ...(options.settings?.['specAugment'] === true ? { specAugment: {} } : {}),
  };
}
