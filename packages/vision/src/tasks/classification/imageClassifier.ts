/** @file Answers for images that nobody has labelled. */

import { type Predictor, type PreprocessorFactory, stack, type TaskModel } from '@onnx-lora/sdk';
import type { ImageDecoder } from '../../image/image.ts';
import { labelsOrNumbers } from '../modelLabels.ts';
import { ImagePreprocessor } from '../../preprocess/preprocessor.ts';
import { ImagePreprocessorFactory } from '../../preprocess/preprocessorFactory.ts';
import { preprocessorOf } from '../../preprocess/preprocessorFile.ts';
import { SharpDecoder } from '../../image/sharpDecoder.ts';
import { decodeClasses } from './classificationDecode.ts';
import { checkImageSize, classifierPorts } from './imagePorts.ts';

/** Options of {@link imageClassifier}. */
export interface ImageClassifierOptions {
  /** Reads image files; sharp by default. */
  readonly decoder?: ImageDecoder;
  /** Makers of preprocessors, asked in order; those of transformers' image processors by default. */
  readonly preprocessors?: readonly PreprocessorFactory[];
}

/**
 * Turns image files into what the model is fed, and its outputs into labels. Needs `preprocessor_config.json` in the
 * model's folder.
 *
 * @example
 * ```ts
 * const classifier = await imageClassifier(model);
 * const outputs = await session.run(await classifier.feeds(['a.png', 'b.png']), { adapter: 'turned' });
 * console.log(classifier.decode(outputs).map(({ label }) => label));
 * ```
 *
 * @throws OnnxLoraError `CONFIG_INVALID` or `MODEL_UNSUPPORTED` when the model is no image classifier; `feeds` throws
 *   `DATA_INVALID` naming an unreadable image
 */
export async function imageClassifier(model: TaskModel, options: ImageClassifierOptions = {}): Promise<Predictor> {
  const { decoder = new SharpDecoder(), preprocessors = [new ImagePreprocessorFactory(decoder)] } = options;
  const ports = classifierPorts(model);
  const { preprocessor, path } = await preprocessorOf(model, preprocessors);
  if (preprocessor instanceof ImagePreprocessor) checkImageSize(model, ports.input, preprocessor.outputSize, path);
  const labels = labelsOrNumbers(model, ports.classes);
  return {
    feeds: async (files) => ({
      [ports.input]: stack(await Promise.all(files.map((file) => preprocessor.preprocess(file)))),
    }),
    decode: (outputs) => decodeClasses(outputs, ports.output, labels),
  };
}
