/** @file Cuts and resizes samples: image, masks, boxes and points together. */

import { cropPlane, type Offset } from '../preprocess/centerCrop.ts';
import type { Size } from '../preprocess/imagePlan.ts';
import type { Resample } from '../preprocess/resampleFilters.ts';
import { resize, resizeNearest } from '../preprocess/resize.ts';
import { moveSample } from './moveSample.ts';
import type { Sample } from './sample.ts';

/** The window of `size` at `offset`; black, and `outside` in masks, where it reaches over the image. */
export function cropSample(sample: Sample, offset: Offset, size: Size): Sample {
  return moveSample(sample, {
    image: cropPlane(sample.image, 3, offset, size),
    mask: (mask) => ({ ...mask, ...cropPlane(mask, 1, offset, size, mask.outside) }),
    point: ([x, y]) => [x - offset.left, y - offset.top],
  });
}

/** The sample in another size: the image by `resample`, masks by their nearest pixel. */
export function resizeSample(sample: Sample, { height, width }: Size, resample: Resample): Sample {
  const { image } = sample;
  if (image.height === height && image.width === width) return sample;
  return moveSample(sample, {
    image: resize(image, height, width, resample),
    mask: (mask) => ({ ...mask, ...resizeNearest(mask, 1, height, width) }),
    point: ([x, y]) => [(x * width) / image.width, (y * height) / image.height],
  });
}
