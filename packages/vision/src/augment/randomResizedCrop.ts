/** @file Crops of random size and shape. */

import { type AugmentationOptions, checkRange, checkWhole, type Range, type Random } from '@onnx-lora/sdk/data';
import { cropPlane, type Offset } from '../preprocess/crop.ts';
import type { ImagePlan, Size } from '../preprocess/imagePlan.ts';
import type { Resample } from '../preprocess/resize/resampleFilters.ts';
import { resize, resizeNearest } from '../preprocess/resize/resize.ts';
import { moveSample, type Sample } from './sample.ts';

/** A window of random size and shape. */
export interface RandomResizedCrop {
  readonly type: 'random-resized-crop';
  /** Lowest and highest share of the image's area that the window has; 0.08 to 1 by default. */
  readonly scale: Range;
  /** Lowest and highest width by height of the window; 3/4 to 4/3 by default. */
  readonly ratio: Range;
  /** Size that the window is resized to; that of the model's preprocessor if absent. */
  readonly size?: Size;
  /** Filter of that resizing; the preprocessor's if absent, bilinear where it has none. */
  readonly resample?: Resample;
}

/** Options of {@link randomResizedCrop}. */
export type RandomResizedCropOptions = AugmentationOptions<RandomResizedCrop>;

/**
 * Cuts a window of random size and shape out of the image, and resizes it: `RandomResizedCrop` of torchvision. Where objects
 * are small or their size tells them apart, raise `scale` to `[0.5, 1]` or more.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for settings that make no sense
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

/** Crops and, where the size is known, resizes. */
export function applyRandomResizedCrop(sample: Sample, options: RandomResizedCrop, random: Random): Sample {
  const { left, top, width, height } = cropWindow(sample.image, options, random);
  const cropped = cropSample(sample, { left, top }, { width, height });
  return options.size ? resizeSample(cropped, options.size, options.resample ?? 'bilinear') : cropped;
}

/** The window, by torchvision's rule: ten draws of area and shape; if none fits, the largest in the middle that does. */
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

/** The crop with size and filter of `plan`, where it has none of its own: what is resized once need not be resized again. */
export function fitCrop(crop: RandomResizedCrop, { resize, crop: cut }: ImagePlan): RandomResizedCrop {
  if (crop.size || !resize) return crop;
  const { to, resample } = resize;
  // What a rule keeps the shape of is cropped to a square afterwards, if at all, so a square is what remains of most.
  const square = 'edge' in to ? { height: to.edge, width: to.edge } : undefined;
  const size = to.kind === 'exact' ? { height: to.height, width: to.width } : cut && square;
  return size ? { ...crop, size, resample: crop.resample ?? resample } : crop;
}

/** The window of `size` at `offset`; black, and `outside` in masks, where it reaches over the image. */
function cropSample(sample: Sample, offset: Offset, size: Size): Sample {
  return moveSample(sample, {
    image: cropPlane(sample.image, 3, offset, size),
    mask: (mask) => ({ ...mask, ...cropPlane(mask, 1, offset, size, mask.outside) }),
    point: ([x, y]) => [x - offset.left, y - offset.top],
  });
}

/** The sample in another size: the image by `resample`, masks by their nearest pixel. */
function resizeSample(sample: Sample, { height, width }: Size, resample: Resample): Sample {
  const { image } = sample;
  if (image.height === height && image.width === width) return sample;
  return moveSample(sample, {
    image: resize(image, height, width, resample),
    mask: (mask) => ({ ...mask, ...resizeNearest(mask, 1, height, width) }),
    point: ([x, y]) => [(x * width) / image.width, (y * height) / image.height],
  });
}
