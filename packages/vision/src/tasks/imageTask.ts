/** @file Common parts of image tasks: settings, image loading, feeds. */

import { type Feeds, OnnxLoraError, stack } from '@onnx-lora/sdk';
import { contentKey, drawSeed, nameOfRecord, withSourceLocation } from '@onnx-lora/sdk/data';
import type { PreprocessorFactory, SettingRows } from '@onnx-lora/sdk/plugin';
import {
  type Processor,
  type RecordLoading,
  type TaskModel,
  fileTaskOf,
  headSetting,
  type ProcessorFactory,
  type ProcessorFacts,
  type HeadOption,
} from '@onnx-lora/sdk/tasks';
import { type Augmentation, augmentSetting } from '../augment/augment.ts';
import { dataSettings } from '../data/manifest.ts';
import type { ImageDataOptions, ImageRecord } from '../data/imageRecord.ts';
import type { ImageDecoder } from '../image/image.ts';
import { ImageFileDecoder } from '../image/imageFileDecoder.ts';
import { ImagePreprocessorFactory, preprocessorOf } from '../preprocess/config/preprocessorFile.ts';
import type { Geometry } from '../preprocess/geometry.ts';
import { imageLoader, type ImageLoader, type LoadedImage } from '../preprocess/imageLoader.ts';
import type { ImageRequest } from '../preprocess/imageThread.ts';
import { ImagePreprocessor } from '../preprocess/preprocessor.ts';
import { checkBatch, checkImageSize, type ImagePort } from './imagePorts.ts';

/** Decoder and preprocessors of a task. */
export interface ImageReading {
  /** Decodes image files; sharp by default. */
  readonly decoder?: ImageDecoder | undefined;
  /** Factories of preprocessors, tried in order; transformers' by default. */
  readonly preprocessors?: readonly PreprocessorFactory[] | undefined;
  /** Most bytes of cached images; 512 MB by default, 0 disables the cache. */
  readonly cacheBytes?: number | undefined;
}

/** The image loader of a model. */
export interface OpenedImages {
  readonly images: ImageLoader;
  readonly decoder: ImageDecoder;
  readonly path: string;
  /** The preprocessor, unless it is the user's own. */
  readonly preprocessor?: ImagePreprocessor;
}

/** Opens an input's image loader. @throws OnnxLoraError `CONFIG_INVALID` without a file, or for another size */
export async function openImages(
  model: TaskModel,
  input: string,
  {
    decoder = new ImageFileDecoder(),
    preprocessors = [new ImagePreprocessorFactory(decoder)],
    cacheBytes,
  }: ImageReading,
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
 * Loads the images of records, with augmentations of drawn ones; `seed` makes draws reproducible.
 * @param itemOf makes the item of an image
 * @param masksOf masks that move along
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

/** The `feeds` of a processor of files. */
export function imageFeeds(model: TaskModel, port: ImagePort, images: ImageLoader): Processor['feeds'] {
  return async (files) => {
    checkBatch(model, port, files.length);
    return { [port.name]: stack(await Promise.all(files.map((file) => images.preprocess(file)))) };
  };
}

/** Remembers the geometry of each fed batch, for decoding. */
export class FedImages {
  readonly #ways = new WeakMap<Feeds, readonly Geometry[]>();

  /** Registers the feeds' images. */
  note(feeds: Feeds, images: readonly LoadedImage[]): Feeds {
    this.#ways.set(feeds, images.map(({ geometry }) => geometry)); // prettier-ignore
    return feeds;
  }

  /** The geometry of feeds. @throws OnnxLoraError `INPUT_INVALID` for other feeds or another number of outputs */
  of(feeds: Feeds, outputs: number): readonly Geometry[] {
    const ways = this.#ways.get(feeds);
    if (ways?.length === outputs) return ways;
    throw new OnnxLoraError(
      'INPUT_INVALID',
      `These are outputs of ${outputs} images, but ${ways ? `the feeds are of ${ways.length}` : 'the feeds are not of this segmenter'}. Decode outputs with the feeds that gave them, as they came from feeds().`,
    );
  }
}

/** Options of tasks with one answer per image. */
export interface ImageTaskOptions extends ImageDataOptions, ImageReading, HeadOption {
  /** Augmentations of training images; none by default. */
  readonly augment?: readonly Augmentation[] | undefined;
}

/** Settings of tasks with one answer per image. */
export const imageSettings: SettingRows<ImageTaskOptions> = {
  augment: augmentSetting,
  head: headSetting,
  ...dataSettings,
};

/** Decoder and preprocessors of a task. */
export interface ImageTools {
  /** Decodes image files. */
  readonly decoder: ImageDecoder;
  /** Factories of preprocessors, tried in order. */
  readonly preprocessors: readonly PreprocessorFactory[];
}

/** Makes the factory of an image task; `preprocessors` are tried in order. */
export type ImageTask = (decoder: ImageDecoder, preprocessors: readonly PreprocessorFactory[]) => ProcessorFactory;

/** Makes an image task from its facts. */
export function imageTask<Options>(facts: ProcessorFacts<Options, ImageTools>): ImageTask {
  return (decoder, preprocessors) => fileTaskOf(facts, { decoder, preprocessors });
}
