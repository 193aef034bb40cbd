/** @file Answers for images with their embeddings. */

import { type OutputProcessor, stack, type TaskModel } from '@onnx-lora/sdk';
import { decodeEmbeddings } from './decodeEmbeddings.ts';
import { checkBatch } from '../imagePort.ts';
import type { ImageReading } from '../imageReading.ts';
import type { FeatureOptions } from './features.ts';
import { openFeatures } from './openFeatures.ts';

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
