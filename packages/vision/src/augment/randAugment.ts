/** @file RandAugment: random operations from a list of fourteen, at one magnitude. */

import { type AugmentationOptions, checkWhole, type Random } from '@onnx-lora/sdk/data';
import type { Image } from '../image/image.ts';
import {
  type AffineOptions,
  affineSample,
  checkColor,
  type Color,
  type Interpolation,
  rotationMap,
  type Sample,
} from './sample.ts';
import {
  adjustBrightness,
  adjustContrast,
  adjustSaturation,
  adjustSharpness,
  autoContrast,
  equalize,
  posterize,
  solarize,
} from './color.ts';

/** Random operations at one magnitude. */
export interface RandAugment {
  readonly type: 'rand-augment';
  /** Number of operations; 2 by default. */
  readonly operations: number;
  /** Magnitude, 0 to 30; 9 by default. */
  readonly magnitude: number;
  /** Interpolation of rotations and shears; `nearest` by default, as in torchvision. */
  readonly interpolation: Interpolation;
  /** Colour outside of the image; black by default. */
  readonly fill: Color;
}

/** Options of {@link randAugment}. */
export type RandAugmentOptions = AugmentationOptions<RandAugment>;

/**
 * Applies `operations` random rotations, shears, shifts and colour changes: torchvision's `RandAugment`, with its list
 * and magnitudes. Masks, boxes and points move along.
 * @throws OnnxLoraError `CONFIG_INVALID` for invalid settings
 * @see https://arxiv.org/abs/1909.13719
 */
export function randAugment({
  operations = 2,
  magnitude = 9,
  interpolation = 'nearest',
  fill = [0, 0, 0],
}: RandAugmentOptions = {}): RandAugment {
  return {
    type: 'rand-augment',
    operations: checkWhole('operations', operations, 0, 100),
    magnitude: checkWhole('magnitude', magnitude, 0, strongest),
    interpolation,
    fill: checkColor('fill', fill),
  };
}

const strongest = 30;

/** An operation; `strength` is 0 to 1, or negative in half of the draws if `signed`. */
interface Operation {
  readonly signed: boolean;
  readonly apply: (sample: Sample, strength: number, options: AffineOptions) => Sample;
}

function moving(map: (image: Image, strength: number) => Parameters<typeof affineSample>[1]): Operation {
  return {
    signed: true,
    apply: (sample, strength, options) => affineSample(sample, map(sample.image, strength), options),
  };
}

function coloring(signed: boolean, change: (image: Image, strength: number) => Image): Operation {
  return { signed, apply: (sample, strength) => ({ ...sample, image: change(sample.image, strength) }) };
}

/** Operations in torchvision's order. */
export const randAugmentOperations: readonly Operation[] = [
  { signed: false, apply: (sample) => sample },
  moving((_, strength) => [1, 0.3 * strength, 0, 0, 1, 0]),
  moving((_, strength) => [1, 0, 0, 0.3 * strength, 1, 0]),
  moving(({ width }, strength) => [1, 0, -Math.trunc((150 / 331) * width * strength), 0, 1, 0]),
  moving(({ height }, strength) => [1, 0, 0, 0, 1, -Math.trunc((150 / 331) * height * strength)]),
  moving((image, strength) => rotationMap(image, 30 * strength)),
  coloring(true, (image, strength) => adjustBrightness(image, 1 + 0.9 * strength)),
  coloring(true, (image, strength) => adjustSaturation(image, 1 + 0.9 * strength)),
  coloring(true, (image, strength) => adjustContrast(image, 1 + 0.9 * strength)),
  coloring(true, (image, strength) => adjustSharpness(image, 1 + 0.9 * strength)),
  coloring(false, (image, strength) => posterize(image, Math.round(8 - 4 * strength))),
  coloring(false, (image, strength) => solarize(image, 255 * (1 - strength))),
  coloring(false, autoContrast),
  coloring(false, equalize),
];

/** Applies {@link randAugment}. */
export function applyRandAugment(sample: Sample, options: RandAugment, random: Random): Sample {
  let changed = sample;
  for (let i = 0; i < options.operations; i++) {
    const { signed, apply } = randAugmentOperations[random.index(randAugmentOperations.length)]!;
    const strength = options.magnitude / strongest;
    changed = apply(changed, signed && random.next() < 0.5 ? -strength : strength, options);
  }
  return changed;
}
