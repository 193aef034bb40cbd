/** @file Image classification for the command line: the task by name, and answers about files without labels. */

import type { Predictor, PreprocessorFactory, Task, TaskFactory, TaskModel, TaskOptions } from '@onnx-lora/sdk';
import type { ImageDecoder } from '../../image/image.ts';
import { imageClassification } from './imageClassification.ts';
import { imageClassifier } from './imageClassifier.ts';

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

  /** The task on the folder `data`. */
  create({ data, validation, seed }: TaskOptions): Task {
    return imageClassification(data, {
      ...(validation === undefined ? {} : { validation }),
      seed,
      decoder: this.#decoder,
      preprocessors: this.#preprocessors,
    });
  }

  predictor(model: TaskModel): Promise<Predictor> {
    return imageClassifier(model, { decoder: this.#decoder, preprocessors: this.#preprocessors });
  }
}
