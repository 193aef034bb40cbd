/** @file Image regression for the command line. */

import { choice, type Processor, type Task, type TaskModel } from '@onnx-lora/sdk/tasks';
import type { TaskFactory, TaskOptions, TaskSetting } from '@onnx-lora/sdk/plugin';
import { ImageTaskFactory } from '../imageTaskFactory.ts';
import { imageRegression } from './imageTasks.ts';
import { imageProcessor } from './imageProcessor.ts';
import { imageOptions, imageSettings } from './settings.ts';

/** Makes `image-regression` tasks and predictors. */
export class ImageRegressionFactory extends ImageTaskFactory implements TaskFactory {
  readonly name = 'image-regression';
  readonly description = 'Numbers about each image; the data is a manifest with columns of values.';
  readonly settings: readonly TaskSetting[] = [
    ...imageSettings,
    { name: 'loss', kind: 'text', description: 'mse (default), or huber, which minds outliers less.' },
  ];

  /** The task on the data. */
  create(options: TaskOptions): Task {
    const { loss } = options.settings ?? {};
    return imageRegression(options.data, {
      ...this.readingOf(options),
      ...imageOptions(options),
      loss: choice('loss', loss, ['mse', 'huber']),
    });
  }

  processor(model: TaskModel): Promise<Processor> {
    return imageProcessor(model, this.reading, 'numbers');
  }
}
