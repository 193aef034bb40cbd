/** @file Image embeddings, as predictions and for lists of images. */

import { type Adapter, type Model, OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import {
  predictOnlyTask,
  embeddingAnswers,
  fileProcessor,
  openEmbedder,
  type OutputProcessor,
  type RunnableOptions,
  type TaskModel,
} from '@onnx-lora/sdk/tasks';
import { type SettingRows, settingsOf } from '@onnx-lora/sdk/plugin';
import { imageFeeds, type ImageReading, type ImageTask, imageTask } from '../imageTask.ts';
import { type FeatureOptions, imageRows, openFeatures } from './features.ts';

/** Options of {@link imageEmbedder}. */
export interface ImageEmbedderOptions extends FeatureOptions, ImageReading {
  /** Normalises embeddings to length 1; true by default. */
  readonly normalize?: boolean | undefined;
}

/** Options of {@link imageEmbeddings}. */
export interface ImageEmbeddingsOptions
  extends ImageEmbedderOptions, Pick<RunnableOptions, 'provider' | 'threads' | 'allowBaseMismatch'> {
  /** The adapter; the base without one. */
  readonly adapter?: Adapter;
  /** Images per batch; 32 by default. */
  readonly batchSize?: number;
  /** Called after each batch with the number of images done. */
  readonly onBatch?: (done: number) => void;
}

/**
 * A processor from image files to feeds, and from outputs to embeddings of length 1: `{ width, embedding }`, a
 * `Float32Array`. If `outputs` names a value, take a session of `model.withOutputs(embedder.outputs)`.
 * @throws OnnxLoraError `CONFIG_INVALID` or `MODEL_UNSUPPORTED`: see {@link FeatureOptions}; `feeds` throws
 *   `DATA_INVALID` naming an unreadable image
 */
export async function imageEmbedder(
  model: TaskModel,
  { normalize = true, ...options }: ImageEmbedderOptions = {},
): Promise<OutputProcessor> {
  const { features, images } = await openFeatures(model, { cacheBytes: 0, ...options });
  return {
    outputs: features.inner,
    feeds: imageFeeds(model, features.input, images),
    decode: (outputs) => embeddingAnswers(imageRows(outputs, features), normalize),
  };
}

/**
 * Embeddings of images, float32 `[files, width]`, in the order of the files; the next batch is read while one is
 * computed.
 * @example
 * const photos = await imageEmbeddings(model, ['a.jpg', 'b.jpg']);
 * await saveEmbeddings('photos.safetensors', ['a.jpg', 'b.jpg'], photos);
 * @throws OnnxLoraError `CONFIG_INVALID`, `MODEL_UNSUPPORTED`: see {@link FeatureOptions}; `DATA_INVALID` and
 *   `FILE_NOT_FOUND`, naming the image; `INPUT_INVALID` without images; as `model.session`
 */
export async function imageEmbeddings(
  model: Model,
  files: readonly string[],
  { adapter, batchSize = 32, provider, threads, allowBaseMismatch, onBatch, ...options }: ImageEmbeddingsOptions = {},
): Promise<Tensor> {
  if (!Number.isInteger(batchSize) || batchSize < 1)
    throw new OnnxLoraError('CONFIG_INVALID', `batchSize must be a whole number of at least 1, but it is ${batchSize}.`); // prettier-ignore
  const processor = await imageEmbedder(model, options);
  await using embedder = await openEmbedder(model.withOutputs(processor.outputs ?? []), fileProcessor(processor), {
    noun: 'images',
    batchSize,
    ...(adapter && { adapters: { adapter } }),
    ...(provider === undefined ? {} : { provider }),
    ...(threads === undefined ? {} : { threads }),
    ...(allowBaseMismatch === undefined ? {} : { allowBaseMismatch }),
  });
  return await embedder.embed(files, adapter ? 'adapter' : null, (done) => {
    if (done % batchSize === 0 || done === files.length) onBatch?.(done);
  });
}

/** Settings of tasks on features. */
export const featureSettings: SettingRows<FeatureOptions> = {
  output: {
    kind: 'text',
    description: 'The graph output that is the feature; before-head is what a classifier reads.',
  },
  pooling: {
    kind: 'choice',
    of: ['cls', 'mean', 'gem'],
    description: 'cls, mean or gem, of an output with several vectors per image.',
  },
};

/** The task `image-embedding`, which only predicts. */
export const imageEmbeddingTask: ImageTask = imageTask({
  name: 'image-embedding',
  description: 'One vector per image, from any vision model; to predict with, not to train.',
  settings: settingsOf<FeatureOptions>(featureSettings),
  task: () =>
    predictOnlyTask(
      'image-embedding',
      'To train or measure embeddings on labelled images, take the task image-retrieval',
    ),
  processor: imageEmbedder,
});
