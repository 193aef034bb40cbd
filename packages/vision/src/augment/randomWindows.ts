/** @file Random resized crops and random erasing. */

import {
  type AugmentationOptions,
  checkRange,
  checkWhole,
  type Range,
  type Random,
  checkShare,
} from '@onnx-lora/sdk/data';
import { cropPlane, type Offset } from '../preprocess/crop.ts';
import type { ImagePlan, Size } from '../preprocess/imagePlan.ts';
import type { Resample } from '../preprocess/resize/resampleFilters.ts';
import { resize, resizeNearest } from '../preprocess/resize/resize.ts';
import { moveSample, type Sample, checkColor, type Color } from './sample.ts';

/** A crop of random size and shape. */
export interface RandomResizedCrop {
  readonly type: 'random-resized-crop';
  /** Range of the window's share of the area; 0.08 to 1 by default. */
  readonly scale: Range;
  /** Range of the window's width by height; 3/4 to 4/3 by default. */
  readonly ratio: Range;
  /** Size that the window is resized to; the preprocessor's if absent. */
  readonly size?: Size;
  /** Resampling filter; the preprocessor's if absent, else bilinear. */
  readonly resample?: Resample;
}

/** Options of {@link randomResizedCrop}. */
export type RandomResizedCropOptions = AugmentationOptions<RandomResizedCrop>;

/**
 * Crops a window of random size and shape and resizes it: torchvision's `RandomResizedCrop`. For small objects, or
 * objects told apart by size, raise `scale` to `[0.5, 1]` or more.
 * @throws OnnxLoraError `CONFIG_INVALID` for invalid settings
 * @see https://arxiv.org/abs/1409.4842 section 6
 */
export function randomResizedCrop(options: RandomResizedCropOptions = {}): RandomResizedCrop {
  const { scale = [0.08, 1], ratio = [3 / 4, 4 / 3], size, resample } = options;
  checkRange('scale', scale, 1e-6, 1);
  checkRange('ratio', ratio, 1e-3, 1e3);
  if (size) {
    checkWhole('size.height', size.height, 1, 16_384);
    checkWhole('size.width', size.width, 1, 16_384);
  }
  return { type: 'random-resized-crop', scale, ratio, ...(size && { size }), ...(resample && { resample }) };
}

/** Applies {@link randomResizedCrop}. */
export function applyRandomResizedCrop(sample: Sample, options: RandomResizedCrop, random: Random): Sample {
  const { left, top, width, height } = cropWindow(sample.image, options, random);
  const cropped = cropSample(sample, { left, top }, { width, height });
  return options.size ? resizeSample(cropped, options.size, options.resample ?? 'bilinear') : cropped;
}

/** torchvision's rule: ten draws of area and shape, else the largest centred window within the ratio. */
function cropWindow(
  image: Size,
  { scale, ratio }: RandomResizedCrop,
  random: Random,
): Size & { left: number; top: number } {
  const area = image.width * image.height;
  for (let attempt = 0; attempt < 10; attempt++) {
    const wanted = area * random.uniform(...scale);
    const aspect = Math.exp(random.uniform(Math.log(ratio[0]), Math.log(ratio[1])));
    const width = Math.round(Math.sqrt(wanted * aspect));
    const height = Math.round(Math.sqrt(wanted / aspect));
    if (width > 0 && height > 0 && width <= image.width && height <= image.height) {
      const top = random.index(image.height - height + 1);
      return { top, left: random.index(image.width - width + 1), width, height };
    }
  }
  const shape = image.width / image.height;
  const width = shape > ratio[1] ? Math.max(1, Math.round(image.height * ratio[1])) : image.width;
  const height = shape < ratio[0] ? Math.max(1, Math.round(image.width / ratio[0])) : image.height;
  return { left: (image.width - width) >> 1, top: (image.height - height) >> 1, width, height };
}

/** Fills in the size and filter of `plan`, to resize only once. */
export function fitCrop(crop: RandomResizedCrop, { resize, crop: cut }: ImagePlan): RandomResizedCrop {
  if (crop.size || !resize) return crop;
  const { to, resample } = resize;
  // Rules that keep the aspect are mostly followed by a square crop.
  const square = 'edge' in to ? { height: to.edge, width: to.edge } : undefined;
  const size = to.kind === 'exact' ? { height: to.height, width: to.width } : cut && square;
  return size ? { ...crop, size, resample: crop.resample ?? resample } : crop;
}

/** Crops to `size` at `offset`; black, and `outside` in masks, beyond the image. */
export function cropSample(sample: Sample, offset: Offset, size: Size): Sample {
  return moveSample(sample, {
    image: cropPlane(sample.image, 3, offset, size),
    mask: (mask) => ({ ...mask, ...cropPlane(mask, 1, offset, size, mask.outside) }),
    point: ([x, y]) => [x - offset.left, y - offset.top],
  });
}

/** Resizes the image by `resample`, and masks by the nearest pixel. */
export function resizeSample(sample: Sample, { height, width }: Size, resample: Resample): Sample {
  const { image } = sample;
  if (image.height === height && image.width === width) return sample;
  return moveSample(sample, {
    image: resize(image, height, width, resample),
    mask: (mask) => ({ ...mask, ...resizeNearest(mask, 1, height, width) }),
    point: ([x, y]) => [(x * width) / image.width, (y * height) / image.height],
  });
}

/** Random erasing of a rectangle. */
export interface RandomErasing {
  readonly type: 'random-erasing';
  /** Probability, 0 to 1; 0.5 by default. */
  readonly probability: number;
  /** Range of the erased share of the area; 0.02 to 0.33 by default. */
  readonly scale: Range;
  /** Range of the rectangle's height by width; 0.3 to 3.3 by default. */
  readonly ratio: Range;
  /** Fill: a colour, or `noise`, a random level per sample. By default the mean of photos, about 0 to most models. */
  readonly value: Color | 'noise';
}

/** Options of {@link randomErasing}. */
export type RandomErasingOptions = AugmentationOptions<RandomErasing>;

/**
 * Erases a random rectangle, so that no single part decides: torchvision's `RandomErasing`. Masks, boxes and points
 * stay.
 * @throws OnnxLoraError `CONFIG_INVALID` for invalid settings
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

/** Applies {@link randomErasing}, with ten attempts at a rectangle that fits, as in torchvision. */
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
