/** @file What the tasks with one answer per image share: data, preprocessing, batches. */

import {
  type Batch,
  type Feeds,
  OnnxLoraError,
  type PreprocessorFactory,
  stack,
  type TaskModel,
  type Tensor,
} from '@onnx-lora/sdk';
import type { Augmentation } from '../../augment/augment.ts';
import type { ImageData, ImageDataOptions, ImageSource } from '../../data/imageData.ts';
import type { ImageRecord } from '../../data/imageRecord.ts';
import { readTaskData } from '../../data/readTaskData.ts';
import { labelsOfRecord } from '../../data/recordLabels.ts';
import type { ImageDecoder } from '../../image/image.ts';
import { SharpDecoder } from '../../image/sharpDecoder.ts';
import { imageLoader } from '../../preprocess/imageLoader.ts';
import { ImagePreprocessor } from '../../preprocess/preprocessor.ts';
import { ImagePreprocessorFactory } from '../../preprocess/preprocessorFactory.ts';
import { preprocessorOf } from '../../preprocess/preprocessorFile.ts';
import { ImageDataset } from './imageDataset.ts';
import { checkImageSize, type ImagePorts, imagePorts } from './imagePorts.ts';

/** Options of every task with one answer per image. */
export interface ImageTaskOptions extends Pick<ImageDataOptions, 'columns' | 'imageFolder' | 'missingImages'> {
  /**
   * Data held out for evaluation: the path of other data, or a fraction between 0 and 1 of every class. Without it, the
   * data's own `validation`, `val` or `test` is taken, where there is a `train` too. 0 holds nothing out that the data does not.
   */
  readonly validation?: string | number;
  /** A fraction to hold out where the data has no part for evaluation and `validation` says nothing; none by default. */
  readonly holdOut?: number;
  /** Seed of the split by fraction, and of what is random about images; 0 by default. */
  readonly seed?: number;
  /** What is done at random to each image that is trained on; nothing by default. */
  readonly augment?: readonly Augmentation[];
  /**
   * Whether the model gets a new head. `auto` keeps its own where that knows the data's labels; where a few of them are
   * strange to it, that is an error, for they may be misspelt. `new` always makes one, `keep` never.
   */
  readonly head?: 'auto' | 'new' | 'keep';
  /** Reads image files; sharp by default. */
  readonly decoder?: ImageDecoder;
  /** Makers of preprocessors, asked in order; those of transformers' image processors by default. */
  readonly preprocessors?: readonly PreprocessorFactory[];
  /** Most bytes of preprocessed images that are kept in memory; 512 MB by default. 0 keeps none. */
  readonly cacheBytes?: number;
}

/** The data of a task, and how its images are loaded. */
export interface ImageTask {
  readonly ports: ImagePorts;
  readonly data: ImageData;
  readonly decoder: ImageDecoder;
  readonly seed: number;
  /** A dataset of records; `target` is what is known of each. */
  dataset<Target>(records: readonly ImageRecord[], target: (record: ImageRecord) => Target): ImageDataset<Target>;
}

/**
 * Reads the data, and makes what loads its images.
 *
 * @throws OnnxLoraError `MODEL_UNSUPPORTED`, `CONFIG_INVALID`, `DATA_INVALID`, `FILE_NOT_FOUND`
 */
export async function openImageTask(
  model: TaskModel,
  source: ImageSource,
  {
    validation,
    holdOut,
    seed = 0,
    columns,
    imageFolder,
    missingImages,
    augment = [],
    decoder = new SharpDecoder(),
    preprocessors = [new ImagePreprocessorFactory(decoder)],
    cacheBytes = 512 * 1024 * 1024,
  }: ImageTaskOptions,
): Promise<ImageTask> {
  const ports = imagePorts(model);
  const { preprocessor, path } = await preprocessorOf(model, preprocessors);
  if (preprocessor instanceof ImagePreprocessor) checkImageSize(model, ports.input, preprocessor.outputSize, path);
  const data = await readTaskData(source, { validation, holdOut, seed, columns, imageFolder, missingImages });
  const loader = imageLoader(preprocessor, { cacheBytes });
  return {
    ports,
    data,
    decoder,
    seed,
    dataset: (records, target) => new ImageDataset(records, records.map(target), { loader, augment, seed }),
  };
}

/**
 * A batch of images, and what is known of them.
 *
 * @throws OnnxLoraError `INPUT_INVALID` for a number of images that the graph does not take
 */
export function batchOf(
  pixels: readonly Tensor[],
  targets: Feeds,
  { input, batch }: ImagePorts,
  model: TaskModel,
): Batch {
  if (batch !== undefined && pixels.length !== batch) {
    throw new OnnxLoraError(
      'INPUT_INVALID',
      `"${model.name}" takes batches of exactly ${batch}, but this one has ${pixels.length}. Set the batch size to ${batch}, or export the model with a dynamic batch.`,
    );
  }
  return { inputs: { [input]: stack(pixels) }, targets };
}

/**
 * The different labels of records, in the order of their code units.
 *
 * @throws OnnxLoraError `DATA_INVALID` for fewer than two
 */
export function labelsOf(records: readonly ImageRecord[], root: string): readonly string[] {
  // The default order compares code units; a locale's would differ from machine to machine.
  const names = [...new Set(records.flatMap((record) => labelsOfRecord(record)))].sort();
  if (names.length >= 2) return names;
  throw new OnnxLoraError(
    'DATA_INVALID',
    names.length === 0
      ? `The images of "${root}" have no labels. Put the images of each class into a folder of its own, or name their labels in a manifest.`
      : `"${root}" has one class only, "${names[0]}". A classifier needs at least two: add another class.`,
  );
}
