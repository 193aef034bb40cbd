/** @file The geometry of preprocessing, for points, boxes and masks. */

import { OnnxLoraError } from '@onnx-lora/sdk/data';
import type { Mask } from '../augment/sample.ts';
import type { Box, Point } from '../data/imageRecord.ts';
import { centerCropOffset, cropPlane } from './crop.ts';
import { type ImagePlan, resizedSize, type Size } from './imagePlan.ts';
import { resizeNearest } from './resize/resize.ts';

/** An image's geometry through a plan. Coordinates are continuous: the first pixel's centre is at 0.5. */
export interface Geometry {
  /** Size of the image. */
  readonly input: Size;
  /** Size after resizing, before cropping. */
  readonly resized: Size;
  /** Scale factors: `resized / input`. */
  readonly scale: { readonly x: number; readonly y: number };
  /** Shift after scaling: negative for a crop, positive for a margin. */
  readonly shift: { readonly x: number; readonly y: number };
  /** Size after cropping: the image in the model's input. */
  readonly content: Size;
  /** Size after padding on the right and below, without a batch's padding. */
  readonly output: Size;
}

/** A larger result is a mistake, such as 10,000 x 1 pixels with the edge of 1 scaled to 224. */
const largestResult = 100_000_000;

/**
 * The geometry of an image of `size`.
 * @param name of the image, for messages
 * @throws OnnxLoraError `DATA_INVALID` for an image too thin to be resized; `CONFIG_INVALID` for one beyond the plan's
 *   padding
 */
export function geometryOf(plan: Partial<ImagePlan>, size: Size, name = 'the image'): Geometry {
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

/** Maps a point from the image to the model's input; outside of it if cropped. */
export function pointToInput({ scale, shift }: Geometry, [x, y]: Point): Point {
  return [x * scale.x + shift.x, y * scale.y + shift.y];
}

/** Maps a box from the image to the model's input, without clipping. */
export function boxToInput(geometry: Geometry, [x0, y0, x1, y1]: Box): Box {
  return [...pointToInput(geometry, [x0, y0]), ...pointToInput(geometry, [x1, y1])];
}

/** Maps a point from the model's input to the image: inverts {@link pointToInput}. */
export function pointToImage({ scale, shift }: Pick<Geometry, 'scale' | 'shift'>, [x, y]: Point): Point {
  return [(x - shift.x) / scale.x, (y - shift.y) / scale.y];
}

/** Maps a box from the model's input to the image: inverts {@link boxToInput}. */
export function boxToImage(geometry: Pick<Geometry, 'scale' | 'shift'>, [x0, y0, x1, y1]: Box): Box {
  return [...pointToImage(geometry, [x0, y0]), ...pointToImage(geometry, [x1, y1])];
}

/**
 * Maps a mask to the model's input at size `output`: resized by the nearest pixel as in transformers, cropped, and
 * padded with `outside`.
 * @throws OnnxLoraError `DATA_INVALID` for a mask of another size than the image
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
  // Cut first, so that cropped parts do not return in the padding.
  const cut = cropPlane(nearest, 1, { left: 0 - shift.x, top: 0 - shift.y }, content, outside);
  return { ...cropPlane(cut, 1, { left: 0, top: 0 }, output, outside), outside };
}
