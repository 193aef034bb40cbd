/** @file The setting by which tasks of the command line take a preset of wave augmentations. */

import { choice, type TaskSetting, type TaskSettingValue } from '@onnx-lora/sdk';
import type { WaveAugmentation } from './augmentWave.ts';
import { waveAugmentationPresets } from './presets.ts';

const names = [...waveAugmentationPresets.keys()];

/** `--set augment=standard`. */
export const waveAugmentSetting: TaskSetting = {
  name: 'augment',
  kind: 'text',
  description: `Random changes of the sound in training: ${names.join(', ')}; none by default.`,
};

/**
 * The preset that the setting names; undefined where it is not given.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for a name that no preset has
 */
export function waveAugmentationsFrom(
  settings: Readonly<Record<string, TaskSettingValue>> = {},
): readonly WaveAugmentation[] | undefined {
  const name = choice('augment', settings['augment'], names);
  return name === undefined ? undefined : waveAugmentationPresets.get(name);
}
