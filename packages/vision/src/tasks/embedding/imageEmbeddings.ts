/** @file One vector per image, from any vision model. */

import { type Adapter, type Model, OnnxLoraError, type Provider, stack, type Tensor } from '@onnx-lora/sdk';
import { joinRows, unitTensor } from '@onnx-lora/sdk/tasks';
import { checkBatch } from '../imagePort.ts';
import type { ImageReading } from '../imageReading.ts';
import type { FeatureOptions } from './features.ts';
import { openFeatures } from './openFeatures.ts';
import { pooledRows } from './pooling.ts';

/** Options of {@link imageEmbeddings}. */
export interface ImageEmbeddingsOptions extends FeatureOptions, ImageReading {
  /** Whose embeddings they are; the base's without one. */
  readonly adapter?: Adapter;
  /** Divides every embedding by its length; true by default. */
  readonly normalize?: boolean;
  /** Images per run; 32 by default. */
  readonly batchSize?: number;
  /** Where to run; `auto` by default. */
  readonly provider?: Provider;
  /** Threads per operator on the CPU; all cores by default. */
  readonly threads?: number;
  /** Called after each batch with the number of images done. */
  readonly onBatch?: (done: number) => void;
}

/**
 * Embeddings of images, float32 `[files, width]`, in the order of the files. The next batch is read while one is computed.
 *
 * @example
 * const photos = await imageEmbeddings(model, ['a.jpg', 'b.jpg']);
 * await saveEmbeddings('photos.safetensors', ['a.jpg', 'b.jpg'], photos);
 *
 * @throws OnnxLoraError `CONFIG_INVALID`, `MODEL_UNSUPPORTED`: see {@link FeatureOptions}; `DATA_INVALID` and
 *   `FILE_NOT_FOUND`, naming the image; `INPUT_INVALID` without images; as `model.session`
 */
export async function imageEmbeddings(
  model: Model,
  files: readonly string[],
  { adapter, normalize = true, batchSize = 32, provider, threads, onBatch, ...options }: ImageEmbeddingsOptions = {},
): Promise<Tensor> {
  if (files.length === 0) throw new OnnxLoraError('INPUT_INVALID', 'There are no images to embed. Name some files.');
  if (!Number.isInteger(batchSize) || batchSize < 1)
    throw new OnnxLoraError('CONFIG_INVALID', `batchSize must be a whole number of at least 1, but it is ${batchSize}.`); // prettier-ignore
  // Each image is looked at once.
  const { features, images } = await openFeatures(model, { cacheBytes: 0, ...options });
  const load = async (from: number): Promise<Tensor> =>
    stack(await Promise.all(files.slice(from, from + batchSize).map((file) => images.preprocess(file))));
  const session = await model.withOutputs(features.inner).session({
    adapters: adapter ? { adapter } : {},
    ...(provider === undefined ? {} : { provider }),
    ...(threads === undefined ? {} : { threads }),
  });
  try {
    const parts: Tensor[] = [];
    let upcoming = load(0);
    for (let done = 0; done < files.length; done += batchSize) {
      const pixels = await upcoming;
      if (done + batchSize < files.length) {
        upcoming = load(done + batchSize);
        // A failure is told when the batch is awaited.
        upcoming.catch(() => undefined);
      }
      checkBatch(model, features.input, pixels.dims[0]!);
      const outputs = await session.run({ [features.input.name]: pixels }, { adapter: adapter ? 'adapter' : null });
      parts.push(pooledRows(outputs, features));
      onBatch?.(Math.min(done + batchSize, files.length));
    }
    const joined = joinRows(parts);
    return normalize ? unitTensor(joined) : joined;
  } finally {
    await session.release();
  }
}
