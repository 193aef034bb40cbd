/** @file What reads the images of a task: the preprocessor of its model, on other threads and with a memory. */

import type { TaskModel } from '@onnx-lora/sdk/tasks';
import type { PreprocessorFactory } from '@onnx-lora/sdk/plugin';
import type { ImageDecoder } from '../image/image.ts';
import { SharpDecoder } from '../image/sharpDecoder.ts';
import { imageLoader, type ImageLoader } from '../preprocess/imageLoader.ts';
import { ImagePreprocessor } from '../preprocess/preprocessor.ts';
import { ImagePreprocessorFactory, preprocessorOf } from '../preprocess/config/preprocessorFile.ts';
import { checkImageSize } from './imagePort.ts';

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
