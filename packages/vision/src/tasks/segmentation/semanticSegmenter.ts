/** @file Class maps of images that nobody has labelled. */

import { stack } from '@onnx-lora/sdk';
import { labelsOrNumbers, type Processor, type TaskModel } from '@onnx-lora/sdk/tasks';
import { checkBatch } from '../imagePort.ts';
import { FedImages, type ImageReading, openImages } from '../imageReading.ts';
import { classMapOfImage, scoresOf, segmentationPorts, segmentationPrediction } from './classMap.ts';
import { checkedScores } from './segmentationMetrics.ts';

/** Options of {@link semanticSegmenter}. */
export type SemanticSegmenterOptions = Pick<ImageReading, 'decoder' | 'preprocessors'>;

/**
 * Turns image files into what the model is fed, and its outputs into class maps of the images' own size: of each a PNG of class
 * numbers with a palette (`mask`), and the share of each class (`classes`). Outputs are decoded with
 * the feeds that gave them, of which the segmenter knows the images' own sizes.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` or `MODEL_UNSUPPORTED` when the model does not segment images; `feeds` throws
 *   `DATA_INVALID` naming an unreadable image
 */
export async function semanticSegmenter(model: TaskModel, options: SemanticSegmenterOptions = {}): Promise<Processor> {
  const { input, output, classes } = segmentationPorts(model);
  // Each image is looked at once.
  const { images: loader } = await openImages(model, input.name, { ...options, cacheBytes: 0 });
  const labels = labelsOrNumbers(model, classes);
  const fed = new FedImages();
  return {
    feeds: async (files) => {
      checkBatch(model, input, files.length);
      const images = await Promise.all(files.map((image) => loader.load({ image })));
      return fed.note({ [input.name]: stack(images.map(({ pixels }) => pixels)) }, images);
    },
    decode: (outputs, inputs) => {
      const scores = scoresOf(checkedScores(outputs, output, labels.length));
      const geometries = fed.of(inputs, scores.length);
      return scores.map((each, i) => segmentationPrediction(classMapOfImage(each, geometries[i]!), labels));
    },
  };
}
