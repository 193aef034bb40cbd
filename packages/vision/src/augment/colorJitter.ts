/** @file Random brightness, contrast, saturation and hue, and random loss of colour. */

import { checkRange, checkShare, type Range, type Random } from '@onnx-lora/sdk/data';
import type { Image } from '../image/image.ts';
import { adjustBrightness, adjustContrast, adjustHue, adjustSaturation, grayscale } from './color.ts';
import type { ProbabilityOptions } from './flip.ts';
import type { Sample } from './sample.ts';

/** Random brightness, contrast, saturation and hue, each a range of factors. */
export interface ColorJitter {
  readonly type: 'color-jitter';
  /** Lowest and highest factor of brightness; left alone if absent. */
  readonly brightness?: Range;
  /** Lowest and highest factor of contrast; left alone if absent. */
  readonly contrast?: Range;
  /** Lowest and highest factor of saturation; left alone if absent. */
  readonly saturation?: Range;
  /** Lowest and highest turn of the colour circle, from −0.5 to 0.5; left alone if absent. */
  readonly hue?: Range;
}

/** Colours lost at random. */
export interface RandomGrayscale {
  readonly type: 'random-grayscale';
  /** How often, from 0 to 1. */
  readonly probability: number;
}

/** Options of {@link colorJitter}: a number x stands for factors from 1 − x, at least 0, to 1 + x. 0 by default. */
export interface ColorJitterOptions {
  /** 0 is black, 1 the image, 2 twice as bright. */
  readonly brightness?: number | Range;
  /** 0 is grey, 1 the image, 2 twice the contrast. */
  readonly contrast?: number | Range;
  /** 0 is without colour, 1 the image, 2 twice as colourful. */
  readonly saturation?: number | Range;
  /** Share of the colour circle, up to 0.5: a number x stands for turns from −x to x. */
  readonly hue?: number | Range;
}

/**
 * Changes brightness, contrast, saturation and hue at random, in random order: `ColorJitter` of torchvision.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for settings that make no sense
 */
export function colorJitter(options: ColorJitterOptions = {}): ColorJitter {
  const { hue } = options;
  return {
    type: 'color-jitter',
    ...factors('brightness', options.brightness),
    ...factors('contrast', options.contrast),
    ...factors('saturation', options.saturation),
    ...(hue !== undefined &&
      hue !== 0 && { hue: checkRange('hue', typeof hue === 'number' ? [-hue, hue] : hue, -0.5, 0.5) }),
  };
}

function factors(name: 'brightness' | 'contrast' | 'saturation', value: number | Range | undefined): object {
  if (value === undefined || value === 0) return {};
  if (typeof value !== 'number') return { [name]: checkRange(name, value, 0) };
  return { [name]: checkRange(name, [Math.max(0, 1 - value), 1 + value], 0) };
}

/**
 * Takes all colour out of the image, in one of ten draws by default.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for a probability outside of 0 to 1
 */
export function randomGrayscale({ probability = 0.1 }: ProbabilityOptions = {}): RandomGrayscale {
  return { type: 'random-grayscale', probability: checkShare('probability', probability) };
}

const adjustments: readonly {
  readonly name: 'brightness' | 'contrast' | 'saturation' | 'hue';
  readonly adjust: (image: Image, factor: number) => Image;
}[] = [
  { name: 'brightness', adjust: adjustBrightness },
  { name: 'contrast', adjust: adjustContrast },
  { name: 'saturation', adjust: adjustSaturation },
  { name: 'hue', adjust: adjustHue },
];

/** Applies the four in random order, each by a factor drawn from its range. */
export function applyColorJitter(sample: Sample, ranges: ColorJitter, random: Random): Sample {
  let { image } = sample;
  for (const i of random.permutation(adjustments.length)) {
    const { name, adjust } = adjustments[i]!;
    const range = ranges[name];
    if (range) image = adjust(image, random.uniform(...range));
  }
  return { ...sample, image };
}

/** Takes the colour out. */
export function applyRandomGrayscale(sample: Sample): Sample {
  return { ...sample, image: grayscale(sample.image) };
}
