/** @file What the tasks with one answer per image share: data, preprocessing, batches. */

import { type Feeds, stack, type Tensor } from '@onnx-lora/sdk';
import { type Batch, differentLabels, type TaskModel } from '@onnx-lora/sdk/tasks';
import type { Augmentation } from '../../augment/augment.ts';
import type { ImageData, ImageSource } from '../../data/imageData.ts';
import type { ImageRecord } from '../../data/imageRecord.ts';
import { readTaskData, type TaskDataOptions } from '../../data/readTaskData.ts';
import { labelsOfRecord } from '../../data/recordLabels.ts';
import type { ImageDecoder } from '../../image/image.ts';
import { checkBatch } from '../imagePort.ts';
import { type ImageReading, openImages } from '../imageReading.ts';
import { ImageDataset } from './imageDataset.ts';
import { type ImagePorts, imagePorts } from './imagePorts.ts';

/** Options of every task with one answer per image. */
export interface ImageTaskOptions extends TaskDataOptions, ImageReading {
  /** What is done at random to each image that is trained on; nothing by default. */
  readonly augment?: readonly Augmentation[] | undefined;
  /**
   * Whether the model gets a new head. `auto` keeps its own where that knows the data's labels; where a few of them are
   * strange to it, that is an error, for they may be misspelt. `new` always makes one, `keep` never.
   */
  readonly head?: 'auto' | 'new' | 'keep' | undefined;
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
  { augment = [], ...options }: ImageTaskOptions,
): Promise<ImageTask> {
  const ports = imagePorts(model);
  const { images: loader, decoder } = await openImages(model, ports.input, options);
  const data = await readTaskData(source, options);
  const { seed = 0 } = options;
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
export function batchOf(pixels: readonly Tensor[], targets: Feeds, ports: ImagePorts, model: TaskModel): Batch {
  checkBatch(model, ports, pixels.length);
  return { inputs: { [ports.input]: stack(pixels) }, targets };
}

/**
 * The different labels of records, in the order of their code units.
 *
 * @throws OnnxLoraError `DATA_INVALID` for fewer than two
 */
export function labelsOf(records: readonly ImageRecord[], root: string): readonly string[] {
  return differentLabels(
    records.flatMap((record) => labelsOfRecord(record)),
    { root, noun: 'images' },
  );
}
