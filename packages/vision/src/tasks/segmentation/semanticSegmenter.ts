/** @file Class maps of images that nobody has labelled. */

import { OnnxLoraError, type Predictor, type PreprocessorFactory, stack, type TaskModel } from '@onnx-lora/sdk';
import type { ImageDecoder } from '../../image/image.ts';
import { SharpDecoder } from '../../image/sharpDecoder.ts';
import type { Geometry } from '../../preprocess/geometry.ts';
import { imageLoader } from '../../preprocess/imageLoader.ts';
import { ImagePreprocessorFactory } from '../../preprocess/preprocessorFactory.ts';
import { preprocessorOf } from '../../preprocess/preprocessorFile.ts';
import { labelsOrNumbers } from '../modelLabels.ts';
import { classMapOfImage, scoresOf } from './classMap.ts';
import { segmentationPrediction } from './segmentationDecode.ts';
import { checkedScores } from './segmentationMetrics.ts';
import { segmentationPorts } from './segmentationPorts.ts';

/** Options of {@link semanticSegmenter}. */
export interface SemanticSegmenterOptions {
  /** Reads image files; sharp by default. */
  readonly decoder?: ImageDecoder;
  /** Makers of preprocessors, asked in order; those of transformers' image processors by default. */
  readonly preprocessors?: readonly PreprocessorFactory[];
}

/**
 * Turns image files into what the model is fed, and its outputs into class maps of the images' own size: of each a PNG of class
 * numbers with a palette (`mask`), and the share of each class (`classes`). Decode the outputs of batches in the order in which
 * they were fed.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` or `MODEL_UNSUPPORTED` when the model does not segment images; `feeds` throws
 *   `DATA_INVALID` naming an unreadable image
 */
export async function semanticSegmenter(
  model: TaskModel,
  {
    decoder = new SharpDecoder(),
    preprocessors = [new ImagePreprocessorFactory(decoder)],
  }: SemanticSegmenterOptions = {},
): Promise<Predictor> {
  const { input, output, classes } = segmentationPorts(model);
  const { preprocessor } = await preprocessorOf(model, preprocessors);
  const loader = imageLoader(preprocessor, { cacheBytes: 0 });
  const labels = labelsOrNumbers(model, classes);
  // Of each batch that has been fed and not yet decoded, the way of its images.
  const fed: Geometry[][] = [];
  return {
    feeds: async (files) => {
      const images = await Promise.all(files.map((image) => loader.load({ image })));
      fed.push(images.map(({ geometry }) => geometry));
      return { [input.name]: stack(images.map(({ pixels }) => pixels)) };
    },
    decode: (outputs) => {
      const scores = scoresOf(checkedScores(outputs, output, labels.length));
      const geometries = fed.shift();
      if (geometries?.length !== scores.length) {
        throw new OnnxLoraError(
          'INPUT_INVALID',
          `These are outputs of ${scores.length} images, but ${geometries ? `the batch fed next had ${geometries.length}` : 'nothing was fed'}. Decode each batch once, in the order of feeding.`,
        );
      }
      return scores.map((each, i) => segmentationPrediction(classMapOfImage(each, geometries[i]!), labels));
    },
  };
}
