/** @file Hides a rectangle of the image. */

import { type AugmentationOptions, checkRange, checkShare, type Range, type Random } from '@onnx-lora/sdk/data';
import { checkColor, type Color } from './affine.ts';
import type { Sample } from './sample.ts';

/** A rectangle hidden at random. */
export interface RandomErasing {
  readonly type: 'random-erasing';
  /** How often, from 0 to 1; half of the draws by default. */
  readonly probability: number;
  /** Lowest and highest share of the image's area that is hidden; 0.02 to 0.33 by default. */
  readonly scale: Range;
  /** Lowest and highest height by width of the rectangle; 0.3 to 3.3 by default. */
  readonly ratio: Range;
  /**
   * What is put there: a colour, or `noise`, a random level for each sample. By default the mean of photos, which most models
   * see as 0.
   */
  readonly value: Color | 'noise';
}

/** Options of {@link randomErasing}. */
export type RandomErasingOptions = AugmentationOptions<RandomErasing>;

/**
 * Hides a random rectangle, so that no single part of a thing decides: `RandomErasing` of torchvision. Masks, boxes and points
 * stay as they are: what is hidden is still to be found.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for settings that make no sense
 * @see https://arxiv.org/abs/1708.04896
 */
export function randomErasing({
  probability = 0.5,
  scale = [0.02, 0.33],
  ratio = [0.3, 3.3],
  value = [124, 116, 104],
}: RandomErasingOptions = {}): RandomErasing {
  return {
    type: 'random-erasing',
    probability: checkShare('probability', probability),
    scale: checkRange('scale', scale, 0, 1),
    ratio: checkRange('ratio', ratio, 1e-3, 1e3),
    value: value === 'noise' ? value : checkColor('value', value),
  };
}

/** Hides a rectangle; ten draws are made for one that fits, as in torchvision. */
export function applyRandomErasing(sample: Sample, options: RandomErasing, random: Random): Sample {
  const { image } = sample;
  const area = image.width * image.height;
  for (let attempt = 0; attempt < 10; attempt++) {
    const hidden = area * random.uniform(...options.scale);
    const aspect = Math.exp(random.uniform(Math.log(options.ratio[0]), Math.log(options.ratio[1])));
    const height = Math.round(Math.sqrt(hidden * aspect));
    const width = Math.round(Math.sqrt(hidden / aspect));
    if (height < 1 || width < 1 || height >= image.height || width >= image.width) continue;
    const top = random.index(image.height - height + 1);
    const left = random.index(image.width - width + 1);
    const data = image.data.slice();
    for (let y = top; y < top + height; y++) {
      for (let x = left; x < left + width; x++) {
        for (let channel = 0, at = (y * image.width + x) * 3; channel < 3; channel++, at++) {
          data[at] = options.value === 'noise' ? random.index(256) : options.value[channel]!;
        }
      }
    }
    return { ...sample, image: { ...image, data } };
  }
  return sample;
}
