/** @file Does what a request for an image asks, up to the point where pixels become floats. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { FilledCache } from '@onnx-lora/sdk/data';
import { augment, fitAugmentations } from '../augment/augment.ts';
import type { Mask, Sample } from '../augment/sample.ts';
import { classMaskOf, maskOf, maskOfObject } from '../data/shapes/masks.ts';
import { type Image, imageOf, sourceName } from '../image/image.ts';
import { boxToInput, geometryOf, maskToInput, pointToInput } from './geometry.ts';
import type { ImagePlan, Size } from './imagePlan.ts';
import type { ImageAnnotations, ImageRequest, MaskSource } from './imageRequest.ts';
import type { Pixels } from './normalize.ts';
import type { ImagePreprocessor } from './preprocessor.ts';

/** Decoded images by their paths. With augmentations nothing after decoding is ever the same, and decoding is most of the work. */
export type DecodedImages = FilledCache<string, Image>;

/** A cache of decoded images that holds `maxBytes`. */
export function decodedImages(maxBytes: number): DecodedImages {
  return new FilledCache(maxBytes, ({ data }) => data.length);
}

/** The number of pixels whose class nobody knows. */
const UNKNOWN_CLASS = 255;

/** An image between resizing and normalising: as 8 bits it takes a quarter of the memory. */
export interface LoadedPixels extends ImageAnnotations {
  readonly pixels: Pixels;
}

/**
 * Decodes, draws masks, augments, resizes and crops.
 *
 * @param images those that were decoded before
 * @throws OnnxLoraError as {@link ImageLoader.load}
 */
export async function loadPixels(
  request: ImageRequest,
  preprocessor: ImagePreprocessor,
  images: DecodedImages,
): Promise<LoadedPixels> {
  const { plan, decoder } = preprocessor;
  const { augmentations = [], seed = 0, boxes, points } = request;
  // What is not augmented is kept once it is resized, which takes less memory.
  const isAugmented = augmentations.length > 0;
  const { image: source } = request;
  const decode = (): Promise<Image> => imageOf(source, decoder);
  const image = await (isAugmented && typeof source === 'string' ? images.get(source, decode) : decode());
  const masks =
    request.masks && (await Promise.all(request.masks.map((source) => maskFrom(source, image, plan.reduceLabels))));
  const sample: Sample = { image, ...(masks && { masks }), ...(boxes && { boxes }), ...(points && { points }) };
  const changed = isAugmented ? augment(sample, fitAugmentations(augmentations, plan), seed) : sample;
  const { image: drawn, ...annotations } = changed;
  const name = sourceName(request.image);
  return { pixels: preprocessor.pixels(drawn, name), ...place(annotations, drawn, plan, request, name) };
}

function place(
  annotations: Omit<Sample, 'image'>,
  image: Size,
  plan: ImagePlan,
  { annotations: frame = 'input' }: ImageRequest,
  name: string,
): ImageAnnotations {
  const geometry = geometryOf(plan, image, name);
  if (frame === 'image') return { ...annotations, geometry };
  const { masks, boxes, points } = annotations;
  return {
    ...annotations,
    geometry,
    ...(masks && { masks: masks.map((mask) => maskToInput(geometry, mask)) }),
    ...(boxes && { boxes: boxes.map((box) => boxToInput(geometry, box)) }),
    ...(points && { points: points.map((point) => pointToInput(geometry, point)) }),
  };
}

async function maskFrom(source: MaskSource, size: Size, reduceLabels = false): Promise<Mask> {
  switch (source.kind) {
    case 'mask':
      return source.mask;
    case 'shape':
      return maskOfObject(source.object, size, source.place) ?? nothing(source.place);
    case 'object':
      return (await maskOf(source.record, size)) ?? nothing(source.record.place);
    case 'classes': {
      const mask = (await classMaskOf(source.record, size, source.numbers)) ?? nothing(source.record.place);
      // Of objects the task has chosen the numbers, so that only a file's count from 1.
      const data = reduceLabels && source.record.mask !== undefined ? reduced(mask.data) : mask.data;
      return { ...mask, data, outside: UNKNOWN_CLASS };
    }
  }
}

/** `reduce_label` of transformers: 0 becomes unknown, and all others one less. */
function reduced(numbers: Uint8Array): Uint8Array {
  return numbers.map((number) => (number === 0 || number === UNKNOWN_CLASS ? UNKNOWN_CLASS : number - 1));
}

function nothing(place: string): never {
  throw new OnnxLoraError('DATA_INVALID', `${place}: nothing says which pixels are meant. Give a mask, or an outline.`);
}
