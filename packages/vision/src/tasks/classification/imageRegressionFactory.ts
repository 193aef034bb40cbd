/** @file Image regression for the command line. */

import { type Processor, type Task, type TaskModel, regressionSettings } from '@onnx-lora/sdk/tasks';
import { type TaskFactory, type TaskOptions, settingsOf, type SettingTable } from '@onnx-lora/sdk/plugin';
import { ImageTaskFactory, imageSettings } from '../imageTaskFactory.ts';
import { imageRegression, type ImageRegressionOptions } from './imageTasks.ts';
import { imageProcessor } from './imageProcessor.ts';

/** Makes `image-regression` tasks and predictors. */
export class ImageRegressionFactory extends ImageTaskFactory<ImageRegressionOptions> implements TaskFactory {
  readonly name = 'image-regression';
  readonly description = 'Numbers about each image; the data is a manifest with columns of values.';
  readonly settings: SettingTable<ImageRegressionOptions> = settingsOf({ ...imageSettings, ...regressionSettings });

  /** The task on the data. */
  create(options: TaskOptions): Task {
    return imageRegression(options.data, this.optionsOf(options));
  }

  processor(model: TaskModel): Promise<Processor> {
    return imageProcessor(model, this.reading, 'numbers');
  }
}
