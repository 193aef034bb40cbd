/** @file Image regression for the command line. */

import type {
  Predictor,
  PreprocessorFactory,
  Task,
  TaskFactory,
  TaskModel,
  TaskOptions,
  TaskSetting,
} from '@onnx-lora/sdk';
import type { ImageDecoder } from '../../image/image.ts';
import { decodeValues, imageRegression, valueNames } from './imageRegression.ts';
import { imagePredictor } from './imagePredictor.ts';
import { choice, imageOptions, imageSettings } from './settings.ts';

/** Makes `image-regression` tasks and predictors. */
export class ImageRegressionFactory implements TaskFactory {
  readonly name = 'image-regression';
  readonly description = 'Numbers about each image; the data is a manifest with columns of values.';
  readonly settings: readonly TaskSetting[] = [
    ...imageSettings,
    { name: 'loss', kind: 'text', description: 'mse (default), or huber, which minds outliers less.' },
  ];
  readonly #made: { readonly decoder: ImageDecoder; readonly preprocessors: readonly PreprocessorFactory[] };

  /** `preprocessors` are asked in order. */
  constructor(decoder: ImageDecoder, preprocessors: readonly PreprocessorFactory[]) {
    this.#made = { decoder, preprocessors };
  }

  /** The task on the data. */
  create(options: TaskOptions): Task {
    const { loss } = options.settings ?? {};
    return imageRegression(options.data, {
      ...imageOptions(options, this.#made),
      ...(loss === undefined ? {} : { loss: choice('loss', loss, ['mse', 'huber']) }),
    });
  }

  predictor(model: TaskModel): Promise<Predictor> {
    return imagePredictor(model, this.#made, ({ output, outputs }) => {
      const names = valueNames(outputs);
      return (results) => decodeValues(results, output, names);
    });
  }
}
