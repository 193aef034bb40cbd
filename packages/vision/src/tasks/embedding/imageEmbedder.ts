/** @file Answers for images with their embeddings. */

import { stack, type Tensor } from '@onnx-lora/sdk';
import { type OutputProcessor, type Prediction, type TaskModel, unitTensor } from '@onnx-lora/sdk/tasks';
import { checkBatch } from '../imagePort.ts';
import type { ImageReading } from '../imageReading.ts';
import type { FeatureOptions, Features } from './features.ts';
import { openFeatures } from './openFeatures.ts';
import { pooledRows } from './pooling.ts';

/**
 * Turns image files into what the model is fed, and its outputs into embeddings of length 1: `{ width, embedding }`. Where
 * `outputs` names a value, the session must be one of `model.withOutputs(embedder.outputs)`.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` or `MODEL_UNSUPPORTED`: see {@link FeatureOptions}; `feeds` throws
 *   `DATA_INVALID` naming an unreadable image
 */
export async function imageEmbedder(
  model: TaskModel,
  options: FeatureOptions & ImageReading = {},
): Promise<OutputProcessor> {
  const { features, images } = await openFeatures(model, { cacheBytes: 0, ...options });
  return {
    outputs: features.inner,
    feeds: async (files) => {
      checkBatch(model, features.input, files.length);
      return { [features.input.name]: stack(await Promise.all(files.map((file) => images.preprocess(file)))) };
    },
    decode: (outputs) => decodeEmbeddings(outputs, features),
  };
}

/** For each row its embedding of length 1, as a list, and how many numbers it has: `{ width, embedding }`. */
function decodeEmbeddings(outputs: Readonly<Record<string, Tensor>>, features: Features): Prediction[] {
  const { dims, data } = unitTensor(pooledRows(outputs, features));
  const [rows, width] = dims as [number, number];
  return Array.from({ length: rows }, (_, i) => ({
    width,
    embedding: Array.from(data.subarray(i * width, (i + 1) * width), Number),
  }));
}
