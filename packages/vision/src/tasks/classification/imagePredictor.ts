/** @file What answers about files, whatever the task: preprocessing, the model's input, and what its output means. */

import { type Predictor, type PreprocessorFactory, stack, type TaskModel } from '@onnx-lora/sdk';
import type { ImageDecoder } from '../../image/image.ts';
import { SharpDecoder } from '../../image/sharpDecoder.ts';
import { ImagePreprocessor } from '../../preprocess/preprocessor.ts';
import { ImagePreprocessorFactory } from '../../preprocess/preprocessorFactory.ts';
import { preprocessorOf } from '../../preprocess/preprocessorFile.ts';
import { checkImageSize, type HeadPort, headPorts } from './imagePorts.ts';

/** Options of predictors. */
export interface ImagePredictorOptions {
  /** Reads image files; sharp by default. */
  readonly decoder?: ImageDecoder;
  /** Makers of preprocessors, asked in order; those of transformers' image processors by default. */
  readonly preprocessors?: readonly PreprocessorFactory[];
}

/**
 * A predictor with this meaning of the output.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` or `MODEL_UNSUPPORTED` when the model takes no images or has no head
 */
export async function imagePredictor(
  model: TaskModel,
  { decoder = new SharpDecoder(), preprocessors = [new ImagePreprocessorFactory(decoder)] }: ImagePredictorOptions,
  decodeWith: (head: HeadPort) => Predictor['decode'],
): Promise<Predictor> {
  const { input, head } = headPorts(model);
  const { preprocessor, path } = await preprocessorOf(model, preprocessors);
  if (preprocessor instanceof ImagePreprocessor) checkImageSize(model, input, preprocessor.outputSize, path);
  return {
    feeds: async (files) => ({
      [input]: stack(await Promise.all(files.map((file) => preprocessor.preprocess(file)))),
    }),
    decode: decodeWith(head),
  };
}
