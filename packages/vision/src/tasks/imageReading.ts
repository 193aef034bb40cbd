/** @file What reads the images of a task: the preprocessor of its model, on other threads and with a memory; and how they are fed. */

import { type Feeds, OnnxLoraError, stack } from '@onnx-lora/sdk';
import type { Processor, RecordLoading, TaskModel } from '@onnx-lora/sdk/tasks';
import { contentKey, drawSeed, nameOfRecord, withSourceLocation } from '@onnx-lora/sdk/data';
import type { PreprocessorFactory } from '@onnx-lora/sdk/plugin';
import type { Augmentation } from '../augment/augment.ts';
import type { ImageRecord } from '../data/imageRecord.ts';
import type { ImageDecoder } from '../image/image.ts';
import { SharpDecoder } from '../image/sharpDecoder.ts';
import type { Geometry } from '../preprocess/geometry.ts';
import { imageLoader, type ImageLoader, type LoadedImage } from '../preprocess/imageLoader.ts';
import type { ImageRequest } from '../preprocess/imageThread.ts';
import { ImagePreprocessor } from '../preprocess/preprocessor.ts';
import { ImagePreprocessorFactory, preprocessorOf } from '../preprocess/config/preprocessorFile.ts';
import { checkBatch, checkImageSize, type ImagePort } from './imagePort.ts';

/** What reads images. */
export interface ImageReading {
  /** Reads image files; sharp by default. */
  readonly decoder?: ImageDecoder | undefined;
  /** Makers of preprocessors, asked in order; those of transformers' image processors by default. */
  readonly preprocessors?: readonly PreprocessorFactory[] | undefined;
  /** Most bytes of images that are kept in memory; 512 MB by default. 0 keeps none. */
  readonly cacheBytes?: number | undefined;
}

/** What makes a model's images. */
export interface OpenedImages {
  readonly images: ImageLoader;
  readonly decoder: ImageDecoder;
  /** The preprocessor's file. */
  readonly path: string;
  /** How images are resized, cropped and normalised; absent for a preprocessor of the user's own. */
  readonly preprocessor?: ImagePreprocessor;
}

/**
 * The loader of images for the input called `input`.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` without a preprocessor's file, or for one that makes images of another size
 */
export async function openImages(
  model: TaskModel,
  input: string,
  { decoder = new SharpDecoder(), preprocessors = [new ImagePreprocessorFactory(decoder)], cacheBytes }: ImageReading,
): Promise<OpenedImages> {
  const { preprocessor, path } = await preprocessorOf(model, preprocessors);
  const own = preprocessor instanceof ImagePreprocessor ? preprocessor : undefined;
  if (own) checkImageSize(model, input, own.outputSize, path);
  return {
    images: imageLoader(preprocessor, cacheBytes === undefined ? {} : { cacheBytes }),
    decoder,
    path,
    ...(own && { preprocessor: own }),
  };
}

/**
 * How the images of records are loaded, with what is done at random to those that are drawn; `seed` makes every draw the same again.
 *
 * @param itemOf what is made of an image
 * @param masksOf what moves along with the image of a record
 */
export function imageLoading<Item extends object>(
  loader: ImageLoader,
  augment: readonly Augmentation[],
  seed: number,
  itemOf: (loaded: LoadedImage, record: ImageRecord) => Item,
  masksOf?: (record: ImageRecord) => NonNullable<ImageRequest['masks']>,
): RecordLoading<ImageRecord, Item> {
  return {
    isDeterministic: augment.length === 0,
    nameOf: nameOfRecord,
    keyOf: ({ file }) => contentKey(file),
    load: async (record, draw) => {
      const isAugmented = draw !== undefined && augment.length > 0;
      const request: ImageRequest = {
        image: record.file,
        ...(masksOf && { masks: masksOf(record) }),
        ...(isAugmented && { augmentations: augment, seed: drawSeed(seed, draw) }),
      };
      return itemOf(await withSourceLocation(record, () => loader.load(request)), record);
    },
  };
}

/** Feeds of files for a processor: each image is looked at once. */
export function imageFeeds(model: TaskModel, port: ImagePort, images: ImageLoader): Processor['feeds'] {
  return async (files) => {
    checkBatch(model, port, files.length);
    return { [port.name]: stack(await Promise.all(files.map((file) => images.preprocess(file)))) };
  };
}

/** What processors remember of each batch that was fed: the way of its images from their own pixels to the model's input. */
export class FedImages {
  readonly #ways = new WeakMap<Feeds, readonly Geometry[]>();

  /** Notes the images of the feeds, which it gives. */
  note(feeds: Feeds, images: readonly LoadedImage[]): Feeds {
    this.#ways.set(feeds, images.map(({ geometry }) => geometry)); // prettier-ignore
    return feeds;
  }

  /**
   * The ways of the images of feeds.
   *
   * @throws OnnxLoraError `INPUT_INVALID` for feeds that are not of this processor, or outputs of another number of images
   */
  of(feeds: Feeds, outputs: number): readonly Geometry[] {
    const ways = this.#ways.get(feeds);
    if (ways?.length === outputs) return ways;
    throw new OnnxLoraError(
      'INPUT_INVALID',
      `These are outputs of ${outputs} images, but ${ways ? `the feeds are of ${ways.length}` : 'the feeds are not of this segmenter'}. Decode outputs with the feeds that gave them, as they came from feeds().`,
    );
  }
}
