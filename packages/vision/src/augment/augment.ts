/** @file Augmentations as data, their presets, and how they are applied to samples. */

import { applyAugmentations, augmentationPresets } from '@onnx-lora/sdk/data';
import type { SettingRow } from '@onnx-lora/sdk/plugin';
import { applyColorJitter, applyRandomGrayscale, type ColorJitter, type RandomGrayscale } from './colorJitter.ts';
import { applyFlip, type Flip, horizontalFlip } from './flip.ts';
import { applyGaussianBlur, type GaussianBlur } from './gaussianBlur.ts';
import { applyRandAugment, type RandAugment, randAugment } from './randAugment.ts';
import { applyRandomErasing, type RandomErasing, randomErasing } from './randomErasing.ts';
import {
  applyRandomResizedCrop,
  fitCrop,
  type RandomResizedCrop,
  randomResizedCrop,
  type RandomResizedCropOptions,
} from './randomResizedCrop.ts';
import { applyRotate90, applyRotation, type Rotate90, type Rotation } from './rotation.ts';
import type { Sample } from './sample.ts';
import type { ImagePlan } from '../preprocess/imagePlan.ts';

/** What is done to an image at random, as data: it can be written to a file and sent to a thread. */
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
 * Applies augmentations one after the other; masks, boxes and points stay in step with the image.
 *
 * The same seed gives the same result, bit for bit, in every Node: all that is random comes from the seed, and the few
 * sines and logarithms are V8's own, which are alike on all machines.
 *
 * @param seed a whole number; see `drawSeed` for one per draw
 * @throws OnnxLoraError `CONFIG_INVALID` for data that is no augmentation
 */
export function augment(sample: Sample, augmentations: readonly Augmentation[], seed: number): Sample {
  return applyAugmentations(kinds, sample, augmentations, seed);
}

/**
 * The augmentations for images that `plan` will preprocess: crops without a size take that which the plan resizes to, so that
 * images are resized once and all that follows works on small pictures.
 */
export function fitAugmentations(augmentations: readonly Augmentation[], plan: ImagePlan): readonly Augmentation[] {
  return augmentations.map((each) => (each.type === 'random-resized-crop' ? fitCrop(each, plan) : each));
}

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

const presets = augmentationPresets<Augmentation>('images', {
  none: [],
  standard: standardAugmentations(),
  strong: strongAugmentations(),
});

/** `--set augment=standard`. */
export const augmentSetting: SettingRow<readonly Augmentation[]> = presets.setting;
