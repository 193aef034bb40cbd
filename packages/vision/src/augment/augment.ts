/** @file Applies augmentations to samples. */

import { Random } from '@onnx-lora/sdk/core';
import type { ImagePlan } from '../preprocess/imagePlan.ts';
import { badSetting } from './check.ts';
import { applyColorJitter, applyRandomGrayscale, type ColorJitter, type RandomGrayscale } from './colorJitter.ts';
import { applyFlip, type Flip } from './flip.ts';
import { applyGaussianBlur, type GaussianBlur } from './gaussianBlur.ts';
import { applyRandAugment, type RandAugment } from './randAugment.ts';
import { applyRandomErasing, type RandomErasing } from './randomErasing.ts';
import { applyRandomResizedCrop, fitCrop, type RandomResizedCrop } from './randomResizedCrop.ts';
import { applyQuarterTurns, applyRotation, type QuarterTurns, type Rotation } from './rotation.ts';
import type { Sample } from './sample.ts';

/** What is done to an image at random, as data: it can be written to a file and sent to a thread. */
export type Augmentation =
  | ColorJitter
  | Flip
  | GaussianBlur
  | QuarterTurns
  | RandAugment
  | RandomErasing
  | RandomGrayscale
  | RandomResizedCrop
  | Rotation;

type Apply<Type extends Augmentation['type']> = (
  sample: Sample,
  augmentation: Extract<Augmentation, { type: Type }>,
  random: Random,
) => Sample;

const appliers: { readonly [type in Exclude<Augmentation['type'], Flip['type']>]: Apply<type> } & {
  readonly [type in Flip['type']]: typeof applyFlip;
} = {
  'color-jitter': applyColorJitter,
  'gaussian-blur': applyGaussianBlur,
  'horizontal-flip': applyFlip,
  'quarter-turns': applyQuarterTurns,
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
  const random = new Random(seed);
  let current = sample;
  for (const augmentation of augmentations) {
    if (!Object.hasOwn(appliers, augmentation.type)) {
      throw badSetting('type', `one of ${Object.keys(appliers).join(', ')}`, augmentation.type);
    }
    // Each type's own function, which the compiler cannot follow through the table.
    const apply = appliers[augmentation.type] as (sample: Sample, augmentation: Augmentation, random: Random) => Sample;
    current = apply(current, augmentation, random);
  }
  return current;
}

/**
 * The augmentations for images that `plan` will preprocess: crops without a size take that which the plan resizes to, so that
 * images are resized once and all that follows works on small pictures.
 */
export function fitAugmentations(augmentations: readonly Augmentation[], plan: ImagePlan): readonly Augmentation[] {
  return augmentations.map((each) => (each.type === 'random-resized-crop' ? fitCrop(each, plan) : each));
}
