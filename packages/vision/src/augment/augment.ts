/** @file Image augmentations as data, and their presets. */

import { applyAugmentations, augmentationPresets } from '@onnx-lora/sdk/data';
import type { SettingRow } from '@onnx-lora/sdk/plugin';
import { applyColorJitter, applyRandomGrayscale, type ColorJitter, type RandomGrayscale } from './color.ts';
import {
  applyFlip,
  type Flip,
  horizontalFlip,
  applyRotate90,
  applyRotation,
  type Rotate90,
  type Rotation,
} from './orientation.ts';
import { applyGaussianBlur, type GaussianBlur } from './gaussianBlur.ts';
import { applyRandAugment, type RandAugment, randAugment } from './randAugment.ts';
import {
  applyRandomErasing,
  type RandomErasing,
  randomErasing,
  applyRandomResizedCrop,
  fitCrop,
  type RandomResizedCrop,
  randomResizedCrop,
  type RandomResizedCropOptions,
} from './randomWindows.ts';
import type { Sample } from './sample.ts';
import type { ImagePlan } from '../preprocess/imagePlan.ts';

/** A random change of an image, as data that can be saved or sent to a thread. */
export type Augmentation =
  | ColorJitter
  | Flip
  | GaussianBlur
  | Rotate90
  | RandAugment
  | RandomErasing
  | RandomGrayscale
  | RandomResizedCrop
  | Rotation;

const kinds: Parameters<typeof applyAugmentations<Sample, Augmentation, []>>[0] = {
  'color-jitter': applyColorJitter,
  'gaussian-blur': applyGaussianBlur,
  'horizontal-flip': applyFlip,
  rotate90: applyRotate90,
  'rand-augment': applyRandAugment,
  'random-erasing': applyRandomErasing,
  'random-grayscale': applyRandomGrayscale,
  'random-resized-crop': applyRandomResizedCrop,
  rotation: applyRotation,
  'vertical-flip': applyFlip,
};

/**
 * Applies augmentations in order, with masks, boxes and points kept aligned. A seed reproduces the result bit for bit
 * in every Node, since V8's sines and logarithms are the same on all machines.
 * @param seed a whole number; see `drawSeed` for one per draw
 * @throws OnnxLoraError `CONFIG_INVALID` for an unknown augmentation
 */
export function augment(sample: Sample, augmentations: readonly Augmentation[], seed: number): Sample {
  return applyAugmentations(kinds, sample, augmentations, seed);
}

/** Gives crops without a size that of `plan`, so that images are resized once and later steps work on small ones. */
export function fitAugmentations(augmentations: readonly Augmentation[], plan: ImagePlan): readonly Augmentation[] {
  return augmentations.map((each) => (each.type === 'random-resized-crop' ? fitCrop(each, plan) : each));
}

/**
 * Random resized crops and horizontal flips, the usual training augmentations since Inception.
 * @see https://arxiv.org/abs/1409.4842 section 6
 */
export function standardAugmentations(crop: RandomResizedCropOptions = {}): readonly Augmentation[] {
  return [randomResizedCrop(crop), horizontalFlip()];
}

/**
 * The standard ones, RandAugment of magnitude 9, and random erasing with noise at 0.25: DeiT's recipe without its MixUp
 * and CutMix, which work on batches.
 * @see https://arxiv.org/abs/2012.12877 table 9
 */
export function strongAugmentations(crop: RandomResizedCropOptions = {}): readonly Augmentation[] {
  return [
    ...standardAugmentations(crop),
    randAugment({ operations: 2, magnitude: 9, fill: [124, 116, 104] }),
    randomErasing({ probability: 0.25, value: 'noise' }),
  ];
}

const presets = augmentationPresets<Augmentation>('images', {
  none: [],
  standard: standardAugmentations(),
  strong: strongAugmentations(),
});

/** `--set augment=standard`. */
export const augmentSetting: SettingRow<readonly Augmentation[]> = presets.setting;
