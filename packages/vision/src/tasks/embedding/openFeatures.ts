/** @file What every use of features begins with: the feature of a model, and its preprocessor. */

import { OnnxLoraError, type PreprocessorFactory, type TaskModel } from '@onnx-lora/sdk';
import type { ImageDecoder } from '../../image/image.ts';
import type { ImagePlan } from '../../preprocess/imagePlan.ts';
import { SharpDecoder } from '../../image/sharpDecoder.ts';
import { imageLoader } from '../../preprocess/imageLoader.ts';
import type { ImageLoader } from '../../preprocess/imageRequest.ts';
import { ImagePreprocessor } from '../../preprocess/preprocessor.ts';
import { ImagePreprocessorFactory } from '../../preprocess/preprocessorFactory.ts';
import { preprocessorOf } from '../../preprocess/preprocessorFile.ts';
import { checkImageSize } from '../classification/imagePorts.ts';
import { type FeatureOptions, type Features, featuresOf } from './features.ts';

/** What reads images. */
export interface ImageReading {
  /** Reads image files; sharp by default. */
  readonly decoder?: ImageDecoder | undefined;
  /** Makers of preprocessors, asked in order; those of transformers' image processors by default. */
  readonly preprocessors?: readonly PreprocessorFactory[] | undefined;
  /** Most bytes of preprocessed images that are kept in memory; 512 MB by default. 0 keeps none. */
  readonly cacheBytes?: number | undefined;
}

/** What makes a model's images. */
export interface OpenedImages {
  readonly images: ImageLoader;
  /** How images are resized and cropped; absent for a preprocessor of the user's own. */
  readonly plan?: ImagePlan;
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
    ...(own && { plan: own.plan }),
  };
}

/** The feature of a model, and what makes its images. */
export interface OpenedFeatures extends OpenedImages {
  readonly features: Features;
}

/**
 * Finds both.
 *
 * @throws OnnxLoraError as {@link featuresOf} and {@link openImages}
 */
export async function openFeatures(model: TaskModel, options: FeatureOptions & ImageReading): Promise<OpenedFeatures> {
  const features = featuresOf(model, options);
  return { features, ...(await openImages(model, features.input.name, options)) };
}

/**
 * Checks a batch against a graph that takes one size only.
 *
 * @throws OnnxLoraError `INPUT_INVALID`, naming the size
 */
export function checkBatch(model: TaskModel, { input: { batch } }: Features, rows: number): void {
  if (batch === undefined || batch === rows) return;
  throw new OnnxLoraError(
    'INPUT_INVALID',
    `"${model.name}" takes batches of exactly ${batch}, but this one has ${rows} images. Set the batch size to ${batch}, or export the model with a dynamic batch.`,
  );
}
