/** @file What answers about files, whatever the task: preprocessing, the model's input, and what its output means. */

import { stack } from '@onnx-lora/sdk';
import { type AnswerKind, headDecoder, type OutputProcessor, type TaskModel } from '@onnx-lora/sdk/tasks';
import { checkBatch } from '../imagePort.ts';
import { type ImageReading, openImages } from '../imageReading.ts';
import { headPorts } from './imagePorts.ts';

/** Options of processors. */
export type ImageProcessorOptions = Pick<ImageReading, 'decoder' | 'preprocessors'>;

/**
 * A processor of a model that answers about images with classes, labels or numbers.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` or `MODEL_UNSUPPORTED` when the model takes no images or has no head
 */
export async function imageProcessor(
  model: TaskModel,
  options: ImageProcessorOptions,
  kind: AnswerKind,
): Promise<OutputProcessor> {
  const { input, head, ...port } = headPorts(model);
  // Each image is looked at once.
  const { images } = await openImages(model, input, { ...options, cacheBytes: 0 });
  return {
    feeds: async (files) => {
      checkBatch(model, port, files.length);
      return { [input]: stack(await Promise.all(files.map((file) => images.preprocess(file)))) };
    },
    decode: headDecoder(model, head, kind),
  };
}
