/** @file The setting by which tasks of the command line take a preset of augmentations. */

import { didYouMean, OnnxLoraError, type TaskSetting } from '@onnx-lora/sdk';
import type { Augmentation } from './augment.ts';
import { augmentationPresets } from './presets.ts';

const names = [...augmentationPresets.keys()];

/** `--set augment=standard`. */
export const augmentSetting: TaskSetting = {
  name: 'augment',
  kind: 'text',
  description: `Random changes of the images in training: ${names.join(', ')}; none by default.`,
};

/** @throws OnnxLoraError `CONFIG_INVALID` for a name that no preset has */
export function augmentationPreset(name: string): readonly Augmentation[] {
  const preset = augmentationPresets.get(name);
  if (preset) return preset;
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    `There are no augmentations "${name}".${didYouMean(name, names)} There are ${names.join(', ')}.`,
  );
}
