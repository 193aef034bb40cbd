/** @file Multi-label classification for the command line. */

import { choice, type Processor, type Task, type TaskModel } from '@onnx-lora/sdk/tasks';
import type { TaskFactory, TaskOptions, TaskSetting } from '@onnx-lora/sdk/plugin';
import { ImageTaskFactory } from '../imageTaskFactory.ts';
import { imageProcessor } from './imageProcessor.ts';
import { multiLabelClassification } from './imageTasks.ts';
import { imageOptions, imageSettings } from './settings.ts';

/** Makes `multi-label-classification` tasks and predictors. */
export class MultiLabelFactory extends ImageTaskFactory implements TaskFactory {
  readonly name = 'multi-label-classification';
  readonly description =
    'Any number of labels per image; the data is a manifest with labels, or a column of 0 and 1 for each.';
  readonly settings: readonly TaskSetting[] = [
    ...imageSettings,
    { name: 'threshold', kind: 'text', description: 'Probability from which a label is given (0.5), or tuned.' },
    { name: 'posWeights', kind: 'text', description: 'balanced: rare labels count as much as frequent ones.' },
  ];

  /** The task on the data. */
  create(options: TaskOptions): Task {
    const { posWeights, threshold } = options.settings ?? {};
    return multiLabelClassification(options.data, {
      ...this.readingOf(options),
      ...imageOptions(options),
      ...(threshold === undefined ? {} : { threshold: threshold === 'tuned' ? threshold : Number(threshold) }),
      posWeights: choice('posWeights', posWeights, ['balanced']),
    });
  }

  processor(model: TaskModel): Promise<Processor> {
    return imageProcessor(model, this.reading, 'labels');
  }
}
