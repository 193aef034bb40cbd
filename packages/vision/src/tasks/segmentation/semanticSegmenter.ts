/** @file Class maps of images that nobody has labelled. */

import { type Feeds, OnnxLoraError, stack } from '@onnx-lora/sdk';
import { labelsOrNumbers, type Processor, type TaskModel } from '@onnx-lora/sdk/tasks';
import type { Geometry } from '../../preprocess/geometry.ts';
import { checkBatch } from '../imagePort.ts';
import { type ImageReading, openImages } from '../imageReading.ts';
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
  // Of each batch that was fed, the way of its images.
  const fed = new WeakMap<Feeds, readonly Geometry[]>();
  return {
    feeds: async (files) => {
      checkBatch(model, input, files.length);
      const images = await Promise.all(files.map((image) => loader.load({ image })));
      const feeds = { [input.name]: stack(images.map(({ pixels }) => pixels)) };
      fed.set(feeds, images.map(({ geometry }) => geometry)); // prettier-ignore
      return feeds;
    },
    decode: (outputs, inputs) => {
      const scores = scoresOf(checkedScores(outputs, output, labels.length));
      const geometries = fed.get(inputs);
      if (geometries?.length !== scores.length) {
        throw new OnnxLoraError(
          'INPUT_INVALID',
          `These are outputs of ${scores.length} images, but ${geometries ? `the feeds are of ${geometries.length}` : 'the feeds are not of this segmenter'}. Decode outputs with the feeds that gave them, as they came from feeds().`,
        );
      }
      return scores.map((each, i) => segmentationPrediction(classMapOfImage(each, geometries[i]!), labels));
    },
  };
}
