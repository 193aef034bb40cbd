/** @file Multi-label classification for the command line. */

import { type Processor, type Task, type TaskModel, labellingSettings } from '@onnx-lora/sdk/tasks';
import { type TaskFactory, type TaskOptions, settingsOf, type SettingTable } from '@onnx-lora/sdk/plugin';
import { ImageTaskFactory, imageSettings } from '../imageTaskFactory.ts';
import { imageProcessor } from './imageProcessor.ts';
import { multiLabelClassification, type MultiLabelOptions } from './imageTasks.ts';

/** Makes `multi-label-classification` tasks and predictors. */
export class MultiLabelFactory extends ImageTaskFactory<MultiLabelOptions> implements TaskFactory {
  readonly name = 'multi-label-classification';
  readonly description =
    'Any number of labels per image; the data is a manifest with labels, or a column of 0 and 1 for each.';
  readonly settings: SettingTable<MultiLabelOptions> = settingsOf({ ...imageSettings, ...labellingSettings });

  /** The task on the data. */
  create(options: TaskOptions): Task {
    return multiLabelClassification(options.data, this.optionsOf(options));
  }

  processor(model: TaskModel): Promise<Processor> {
    return imageProcessor(model, this.reading, 'labels');
  }
}
