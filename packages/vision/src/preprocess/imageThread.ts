/** @file Image loading up to 8-bit pixels, in a worker or the calling thread. */

import { type Augmentation, augment, fitAugmentations } from '../augment/augment.ts';
import type { Box, ImageObject, ImageRecord, Point } from '../data/imageRecord.ts';
import { type ClassNumbers, classMaskOf, maskOf, maskOfObject } from '../data/shapes/masks.ts';
import { type ImageLike, type Image, imageOf, sourceName } from '../image/image.ts';
import { type Geometry, boxToInput, geometryOf, maskToInput, pointToInput } from './geometry.ts';
// A thread that loads all of the SDK takes 14 MB more.
import { BoundedCache, OnnxLoraError, withoutUndefined } from '@onnx-lora/sdk/data';
import type { Mask, Sample } from '../augment/sample.ts';
import type { ImagePlan, Size } from './imagePlan.ts';
import type { Pixels } from './normalize.ts';
import { ImagePreprocessor } from './preprocessor.ts';
import { ImageFileDecoder, type ImageFileDecoderOptions } from '../image/imageFileDecoder.ts';

/** A source of masks. */
export type MaskSource =
  /** Zeros and ones: the record's object, or all of its objects. */
  | { readonly kind: 'object'; readonly record: ImageRecord }
  /** A class per pixel, from the record's mask file or objects; 255 outside of the image. */
  | { readonly kind: 'classes'; readonly record: ImageRecord; readonly numbers: ClassNumbers }
  /** Zeros and ones: one of the record's objects. `place` is for messages. */
  | { readonly kind: 'shape'; readonly object: ImageObject; readonly place: string }
  | { readonly kind: 'mask'; readonly mask: Mask };

/** An image to load with its annotations. */
export interface ImageRequest {
  /** The image; a path is the cheapest to send to a thread. */
  readonly image: ImageLike;
  /** Masks, made when the image is loaded. */
  readonly masks?: readonly MaskSource[];
  /** In pixels of the image. */
  readonly boxes?: readonly Box[];
  /** In pixels of the image. */
  readonly points?: readonly Point[];
  /** Augmentations between decoding and preprocessing. */
  readonly augmentations?: readonly Augmentation[];
  /** Seed of the augmentations; 0 by default. */
  readonly seed?: number;
  /** Pixel space of returned annotations: the model's input (default), or the augmented image. */
  readonly annotations?: 'input' | 'image';
}

/** Annotations of a loaded image. */
export interface ImageAnnotations {
  /** From the augmented image to the model's input. */
  readonly geometry: Geometry;
  /** Masks in the order of the request. */
  readonly masks?: readonly Mask[];
  /** Remaining boxes, in the requested pixel space. */
  readonly boxes?: readonly Box[];
  /** Remaining points, in the requested pixel space. */
  readonly points?: readonly Point[];
  /** After augmentations dropped boxes: the original index of each remaining box. */
  readonly boxIndices?: readonly number[];
  /** The same for points. */
  readonly pointIndices?: readonly number[];
}

const UNKNOWN_CLASS = 255;

/** An image before normalisation: 8 bits take a quarter of the memory. */
export interface LoadedPixels extends ImageAnnotations {
  readonly pixels: Pixels;
}

export type PixelSource = (request: ImageRequest) => Promise<LoadedPixels>;

/** Decodes, augments, resizes and crops. Files to augment are cached decoded, since later steps never repeat. */
export function pixelSource(preprocessor: ImagePreprocessor, keepBytes: number): PixelSource {
  const { plan, decoder } = preprocessor;
  const decoded = new BoundedCache<string, Image>(keepBytes, ({ data }) => data.length);
  return async (request) => {
    const { image: source, augmentations = [], seed = 0, boxes, points } = request;
    const name = sourceName(source);
    // Other files are cached after resizing, which takes less memory.
    const isAugmented = augmentations.length > 0;
    const decode = (): Promise<Image> => imageOf(source, decoder);
    const image = await (isAugmented && typeof source === 'string' ? decoded.get(source, decode) : decode());
    const masks =
      request.masks && (await Promise.all(request.masks.map((each) => maskFrom(each, image, plan.reduceLabels))));
    const sample: Sample = { image, ...withoutUndefined({ masks, boxes, points }) };
    const changed = isAugmented ? augment(sample, fitAugmentations(augmentations, plan), seed) : sample;
    const { image: drawn, ...annotations } = changed;
    return { pixels: preprocessor.pixels(drawn, name), ...place(annotations, drawn, plan, request, name) };
  };
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
      // Numbers of objects are the task's; only a file's count from 1.
      const data = reduceLabels && source.record.mask !== undefined ? reduced(mask.data) : mask.data;
      return { ...mask, data, outside: UNKNOWN_CLASS };
    }
  }
}

/** transformers' `reduce_label`: 0 becomes unlabelled, others decrease by one. */
function reduced(numbers: Uint8Array): Uint8Array {
  return numbers.map((number) => (number === 0 || number === UNKNOWN_CLASS ? UNKNOWN_CLASS : number - 1));
}

function nothing(place: string): never {
  throw new OnnxLoraError('DATA_INVALID', `${place}: nothing says which pixels are meant. Give a mask, or an outline.`);
}

export interface ThreadRequest {
  readonly request: ImageRequest;
  readonly plan: ImagePlan;
  readonly limits: Required<ImageFileDecoderOptions>;
  /** Most bytes of decoded images cached in the thread. */
  readonly keepBytes: number;
}

/** Sources by everything but the image. */
const sources = new Map<string, PixelSource>();

/** Handles a request. */
export function load({ request, plan, limits, keepBytes }: ThreadRequest): Promise<LoadedPixels> {
  const key = JSON.stringify([plan, limits, keepBytes]);
  const source = sources.get(key) ?? pixelSource(new ImagePreprocessor(plan, new ImageFileDecoder(limits)), keepBytes);
  sources.set(key, source);
  return source(request);
}
