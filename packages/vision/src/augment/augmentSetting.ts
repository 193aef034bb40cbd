/** @file The setting by which tasks of the command line take a preset of augmentations. */

import type { SettingRow } from '@onnx-lora/sdk/plugin';
import type { Augmentation } from './augment.ts';
import { horizontalFlip } from './flip.ts';
import { randAugment } from './randAugment.ts';
import { randomErasing } from './randomErasing.ts';
import { randomResizedCrop, type RandomResizedCropOptions } from './randomResizedCrop.ts';

/**
 * Crops of random size and shape, and mirrored images: what vision models have been trained with since Inception.
 *
 * @see https://arxiv.org/abs/1409.4842 section 6
 */
export function standardAugmentations(crop: RandomResizedCropOptions = {}): readonly Augmentation[] {
  return [randomResizedCrop(crop), horizontalFlip()];
}

/**
 * The standard ones, RandAugment of strength 9, and a quarter of the images with a rectangle of noise: the recipe of DeiT,
 * without its MixUp and CutMix, which work on batches.
 *
 * @see https://arxiv.org/abs/2012.12877 table 9
 */
export function strongAugmentations(crop: RandomResizedCropOptions = {}): readonly Augmentation[] {
  return [
    ...standardAugmentations(crop),
    randAugment({ operations: 2, magnitude: 9, fill: [124, 116, 104] }),
    randomErasing({ probability: 0.25, value: 'noise' }),
  ];
}

/** Presets by the names that settings have for them. A Map, for the name comes from a user. */
export const augmentationPresets: ReadonlyMap<string, readonly Augmentation[]> = new Map([
  ['none', []],
  ['standard', standardAugmentations()],
  ['strong', strongAugmentations()],
]);

const names = [...augmentationPresets.keys()];

/** `--set augment=standard`. */
export const augmentSetting: SettingRow<readonly Augmentation[]> = {
  kind: 'choice',
  of: names,
  to: (name) => augmentationPresets.get(name),
  description: `Random changes of the images in training: ${names.join(', ')}; none by default.`,
};
