/** @file Where an image comes to lie in a model's input, and the way of points, boxes and masks. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { Mask } from '../augment/sample.ts';
import type { Box, Point } from '../data/imageRecord.ts';
import { centerCropOffset, cropPlane } from './crop.ts';
import { type ImagePlan, resizedSize, type Size } from './imagePlan.ts';
import { resizeNearest } from './resize/resize.ts';

/** The way of one image through a plan. Positions are continuous: the middle of the first pixel is at 0.5. */
export interface Geometry {
  /** Of the image itself. */
  readonly input: Size;
  /** After resizing, before cropping. */
  readonly resized: Size;
  /** How much larger the image becomes: `resized / input`. */
  readonly scale: { readonly x: number; readonly y: number };
  /** What is added after scaling: negative where the crop cuts off, positive where it adds a margin. */
  readonly shift: { readonly x: number; readonly y: number };
  /** After cropping: what of the model's input shows the image. */
  readonly content: Size;
  /** After padding on the right and below. The padding that makes the images of one batch alike is not counted. */
  readonly output: Size;
}

/** More than this after resizing is a mistake: an image of 10,000 x 1 scaled until its edge of 1 is 224. */
const largestResult = 100_000_000;

/**
 * What `plan` does to an image of `size`.
 *
 * @param name of the image, for messages
 * @throws OnnxLoraError `DATA_INVALID` when the image is so thin that resizing would blow it up; `CONFIG_INVALID` when
 *   it does not fit into the plan's padding
 */
export function geometryOf(plan: ImagePlan, size: Size, name = 'the image'): Geometry {
  const resized = plan.resize ? resizedSize(size, plan.resize.to) : size;
  if (resized.height < 1 || resized.width < 1 || resized.height * resized.width > largestResult) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `The image "${name}" of ${size.width} x ${size.height} pixels would be resized to ${resized.width} x ${resized.height}. Its shape is too extreme for this model: crop it, or take it out of the data.`,
    );
  }
  const content = plan.crop ? { height: plan.crop.height, width: plan.crop.width } : resized;
  const output = plan.pad === undefined || plan.pad === 'batch' ? content : plan.pad;
  if (content.height > output.height || content.width > output.width) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `An image of ${content.width} x ${content.height} pixels after resizing does not fit "pad_size" of ${output.width} x ${output.height}. Correct "size" or "pad_size" in preprocessor_config.json.`,
    );
  }
  const offset = plan.crop ? centerCropOffset(resized, plan.crop) : { top: 0, left: 0 };
  return {
    input: { height: size.height, width: size.width },
    resized: { height: resized.height, width: resized.width },
    scale: { x: resized.width / size.width, y: resized.height / size.height },
    shift: { x: 0 - offset.left, y: 0 - offset.top },
    content,
    output,
  };
}

/** A point of the image in the model's input; outside of it where the crop cut the point off. */
export function pointToInput({ scale, shift }: Geometry, [x, y]: Point): Point {
  return [x * scale.x + shift.x, y * scale.y + shift.y];
}

/** A box of the image in the model's input; it may reach over the input's edges. */
export function boxToInput(geometry: Geometry, [x0, y0, x1, y1]: Box): Box {
  return [...pointToInput(geometry, [x0, y0]), ...pointToInput(geometry, [x1, y1])];
}

/** A point of the model's input in the image: undoes {@link pointToInput}. */
export function pointToImage({ scale, shift }: Geometry, [x, y]: Point): Point {
  return [(x - shift.x) / scale.x, (y - shift.y) / scale.y];
}

/** A box of the model's input in the image: undoes {@link boxToInput}. */
export function boxToImage(geometry: Geometry, [x0, y0, x1, y1]: Box): Box {
  return [...pointToImage(geometry, [x0, y0]), ...pointToImage(geometry, [x1, y1])];
}

/**
 * A mask of the image in the model's input, of the size `output`: resized by the nearest pixel, as transformers does with
 * segmentation maps, then cropped and padded with what the mask says is `outside`.
 *
 * @throws OnnxLoraError `DATA_INVALID` when the mask has not the image's size
 */
export function maskToInput({ input, resized, shift, content, output }: Geometry, mask: Mask): Mask {
  if (mask.height !== input.height || mask.width !== input.width) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `A mask of ${mask.width} x ${mask.height} pixels cannot belong to an image of ${input.width} x ${input.height}. Give masks of their image's size.`,
    );
  }
  const { outside = 0 } = mask;
  const nearest = resizeNearest(mask, 1, resized.height, resized.width);
  // Cut to the content first: what a crop cut off must not come back in the padding.
  const cut = cropPlane(nearest, 1, { left: 0 - shift.x, top: 0 - shift.y }, content, outside);
  return { ...cropPlane(cut, 1, { left: 0, top: 0 }, output, outside), outside };
}
