/** @file The setting by which tasks of the command line take a preset of augmentations. */

import { choice, type TaskSetting, type TaskSettingValue } from '@onnx-lora/sdk';
import type { Augmentation } from './augment.ts';
import { augmentationPresets } from './presets.ts';

const names = [...augmentationPresets.keys()];

/** `--set augment=standard`. */
export const augmentSetting: TaskSetting = {
  name: 'augment',
  kind: 'text',
  description: `Random changes of the images in training: ${names.join(', ')}; none by default.`,
};

/**
 * The preset that the setting names; undefined where it is not given.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for a name that no preset has
 */
export function augmentationsFrom(
  settings: Readonly<Record<string, TaskSettingValue>> = {},
): readonly Augmentation[] | undefined {
  const name = choice('augment', settings['augment'], names);
  return name === undefined ? undefined : augmentationPresets.get(name);
}
