/** @file What is asked of a loader of images, and what it answers. All of it is data, so that it can go to a thread. */

import type { Tensor } from '@onnx-lora/sdk';
import type { Preprocessor } from '@onnx-lora/sdk/plugin';
import type { Augmentation } from '../augment/augment.ts';
import type { Mask, Sample } from '../augment/sample.ts';
import type { Box, ImageObject, ImageRecord, Point } from '../data/imageRecord.ts';
import type { ClassNumbers } from '../data/shapes/masks.ts';
import type { ImageLike } from '../image/image.ts';
import type { Geometry } from './geometry.ts';

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

/** An image as the model is fed it, and its annotations. It may be shared with others, who do not expect it to change. */
export interface LoadedImage extends ImageAnnotations {
  /** Float32 `[3, height, width]`. */
  readonly pixels: Tensor;
}

/** What is known of a loaded image beside its pixels. */
export interface ImageAnnotations extends Omit<Sample, 'image'> {
  /** From the augmented image to the model's input. Masks are in the order of the request; all in the pixels that it asks for. */
  readonly geometry: Geometry;
}

/** Loads images for a model. */
export interface ImageLoader extends Preprocessor {
  /**
   * Decodes, augments and preprocesses an image, and brings its annotations along.
   *
   * @throws OnnxLoraError `FILE_NOT_FOUND` or `DATA_INVALID`, naming the file
   */
  load(request: ImageRequest): Promise<LoadedImage>;
}
