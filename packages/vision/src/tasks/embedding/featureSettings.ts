/** @file What the command line may say of features. */

import { didYouMean, OnnxLoraError, type TaskSetting, type TaskSettingValue } from '@onnx-lora/sdk';
import type { Augmentation } from '../../augment/augment.ts';
import { augmentationPresets } from '../../augment/presets.ts';
import type { FeatureOptions, Pooling } from './features.ts';

/** Settings of every task that works on features. */
export const featureSettings: readonly TaskSetting[] = [
  {
    name: 'output',
    kind: 'text',
    description: 'the graph output that is the feature; before-head is what a classifier reads',
  },
  { name: 'pooling', kind: 'text', description: 'cls, mean or gem, of an output with several vectors per image' },
];

/**
 * Values of {@link featureSettings}.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for a pooling that there is not
 */
export function readFeatureSettings(settings: Readonly<Record<string, TaskSettingValue>> = {}): FeatureOptions {
  const { output, pooling } = settings;
  if (pooling !== undefined && !(['cls', 'mean', 'gem'] satisfies Pooling[]).some((each) => each === pooling)) {
    throw new OnnxLoraError('CONFIG_INVALID', `There is no pooling ${JSON.stringify(pooling)}. Take cls, mean or gem.`);
  }
  return {
    ...(output === undefined ? {} : { output: String(output) }),
    ...(pooling === undefined ? {} : { pooling: pooling as Pooling }),
  };
}

/** The setting of what is done to training images at random. */
export const augmentSetting: TaskSetting = {
  name: 'augment',
  kind: 'text',
  description: `what is done to training images at random: ${[...augmentationPresets.keys()].join(', ')}`,
};

/**
 * The value of {@link augmentSetting}.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for a name that there is not
 */
export function readAugmentations({
  augment = 'none',
}: Readonly<Record<string, TaskSettingValue>> = {}): readonly Augmentation[] {
  const augmentations = augmentationPresets.get(String(augment));
  if (augmentations) return augmentations;
  const known = [...augmentationPresets.keys()];
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    `There is no preset of augmentations ${JSON.stringify(augment)}.${didYouMean(String(augment), known)} Take ${known.join(', ')}.`,
  );
}
