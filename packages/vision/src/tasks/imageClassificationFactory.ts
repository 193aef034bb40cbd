/** @file Image classification for the command line: the task by name, and answers about files without labels. */

import {
  type Predictor,
  type PreprocessorFactory,
  stack,
  type Task,
  type TaskFactory,
  type TaskModel,
  type TaskOptions,
} from '@onnx-lora/sdk';
import type { ImageDecoder } from '../image.ts';
import { labelsOrNumbers } from '../modelLabels.ts';
import { ImagePreprocessor } from '../preprocessor.ts';
import { preprocessorOf } from '../preprocessorFile.ts';
import { decodeClasses } from './classificationDecode.ts';
import { imageClassification } from './imageClassification.ts';
import { checkImageSize, classifierPorts } from './imagePorts.ts';

/** Makes `image-classification` tasks and predictors. */
export class ImageClassificationFactory implements TaskFactory {
  readonly name = 'image-classification';
  readonly description = 'One class per image; the data is a folder with a folder of images for each class.';
  readonly #decoder: ImageDecoder;
  readonly #preprocessors: readonly PreprocessorFactory[];

  /** `preprocessors` are asked in order. */
  constructor(decoder: ImageDecoder, preprocessors: readonly PreprocessorFactory[]) {
    this.#decoder = decoder;
    this.#preprocessors = preprocessors;
  }

  create({ data, seed }: TaskOptions): Task {
    return imageClassification(data, { seed, decoder: this.#decoder, preprocessors: this.#preprocessors });
  }

  async predictor(model: TaskModel): Promise<Predictor> {
    const ports = classifierPorts(model);
    const { preprocessor, path } = await preprocessorOf(model, this.#preprocessors);
    if (preprocessor instanceof ImagePreprocessor) checkImageSize(model, ports.input, preprocessor.outputSize, path);
    const labels = labelsOrNumbers(model, ports.classes);
    return {
      feeds: async (files) => ({
        [ports.input]: stack(await Promise.all(files.map((file) => preprocessor.preprocess(file)))),
      }),
      decode: (outputs) => decodeClasses(outputs, ports.output, labels),
    };
  }
}
