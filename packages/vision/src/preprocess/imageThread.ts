/** @file What is done to an image up to the point where pixels become floats, in other threads or in the one that asks. */

import { type Augmentation, augment, fitAugmentations } from '../augment/augment.ts';
import type { Box, ImageObject, ImageRecord, Point } from '../data/imageRecord.ts';
import { type ClassNumbers, classMaskOf, maskOf, maskOfObject } from '../data/shapes/masks.ts';
import { type ImageLike, type Image, imageOf, sourceName } from '../image/image.ts';
import { type Geometry, boxToInput, geometryOf, maskToInput, pointToInput } from './geometry.ts';
import { OnnxLoraError } from '@onnx-lora/sdk';
import { BoundedCache, defined } from '@onnx-lora/sdk/data';
import type { Mask, Sample } from '../augment/sample.ts';
import type { ImagePlan, Size } from './imagePlan.ts';
import type { Pixels } from './normalize.ts';
import { ImagePreprocessor } from './preprocessor.ts';
import { SharpDecoder, type SharpDecoderOptions } from '../image/sharpDecoder.ts';

/** Where a mask comes from. */
export type MaskSource =
  /** Zeros and ones: the one object that the record shows, or all its objects together. */
  | { readonly kind: 'object'; readonly record: ImageRecord }
  /** A class per pixel, from the record's mask file or its objects. Outside of the image stands 255. */
  | { readonly kind: 'classes'; readonly record: ImageRecord; readonly numbers: ClassNumbers }
  /** Zeros and ones: one of the record's objects. `place` is for messages. */
  | { readonly kind: 'shape'; readonly object: ImageObject; readonly place: string }
  | { readonly kind: 'mask'; readonly mask: Mask };

/** An image to load, and what is to move along with it. */
export interface ImageRequest {
  /** Of these only a path is not copied on its way to a thread. */
  readonly image: ImageLike;
  /** Masks that move along, each made when the image is loaded. */
  readonly masks?: readonly MaskSource[];
  /** In pixels of the image. */
  readonly boxes?: readonly Box[];
  /** In pixels of the image. */
  readonly points?: readonly Point[];
  /** Applied between decoding and preprocessing, with the seed {@link seed}. */
  readonly augmentations?: readonly Augmentation[];
  /** Of the augmentations; 0 if absent. */
  readonly seed?: number;
  /** The pixels in which masks, boxes and points come back: those of the model's input (default), or of the augmented image. */
  readonly annotations?: 'input' | 'image';
}

/** What is known of a loaded image beside its pixels. */
export interface ImageAnnotations {
  /** From the augmented image to the model's input. */
  readonly geometry: Geometry;
  /** Masks, in the order of the request. */
  readonly masks?: readonly Mask[];
  /** Boxes that are left, in the pixels that the request asks for. */
  readonly boxes?: readonly Box[];
  /** Points that are left, in the pixels that the request asks for. */
  readonly points?: readonly Point[];
  /** Where augmentations have left boxes outside of the image: for each that is left, its place in the request. */
  readonly boxIndices?: readonly number[];
  /** The same of points. */
  readonly pointIndices?: readonly number[];
}

/** The number of pixels whose class nobody knows. */
const UNKNOWN_CLASS = 255;

/** An image between resizing and normalising: as 8 bits it takes a quarter of the memory. */
export interface LoadedPixels extends ImageAnnotations {
  readonly pixels: Pixels;
}

/** Loads images for what their preprocessor makes of them. */
export type PixelSource = (request: ImageRequest) => Promise<LoadedPixels>;

/**
 * What decodes, draws masks, augments, resizes and crops. Files that are augmented are remembered as they are after decoding, up to
 * `keepBytes`: nothing after it is ever the same, and decoding is most of the work, above all of small images.
 */
export function pixelSource(preprocessor: ImagePreprocessor, keepBytes: number): PixelSource {
  const { plan, decoder } = preprocessor;
  const decoded = new BoundedCache<string, Image>(keepBytes, ({ data }) => data.length);
  return async (request) => {
    const { image: source, augmentations = [], seed = 0, boxes, points } = request;
    const name = sourceName(source);
    // What is not augmented is kept once it is resized, which takes less memory.
    const isAugmented = augmentations.length > 0;
    const decode = (): Promise<Image> => imageOf(source, decoder);
    const image = await (isAugmented && typeof source === 'string' ? decoded.get(source, decode) : decode());
    const masks =
      request.masks && (await Promise.all(request.masks.map((each) => maskFrom(each, image, plan.reduceLabels))));
    const sample: Sample = { image, ...defined({ masks, boxes, points }) };
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

/** One image to load, as it is sent to a thread. */
export interface ThreadRequest {
  readonly request: ImageRequest;
  readonly plan: ImagePlan;
  readonly limits: Required<SharpDecoderOptions>;
  /** Most bytes of decoded images that the thread keeps for the next time. */
  readonly keepBytes: number;
}

/** What loads for requests that differ in nothing but the image. */
const sources = new Map<string, PixelSource>();

/** Does what `request` asks. */
export function load({ request, plan, limits, keepBytes }: ThreadRequest): Promise<LoadedPixels> {
  const key = JSON.stringify([plan, limits, keepBytes]);
  const source = sources.get(key) ?? pixelSource(new ImagePreprocessor(plan, new SharpDecoder(limits)), keepBytes);
  sources.set(key, source);
  return source(request);
}
