/** @file Multi-label classification for the command line. */

import {
  decodeLabels,
  labellingSettings,
  labelsOrNumbers,
  type Processor,
  type Task,
  type TaskModel,
  thresholdsOf,
} from '@onnx-lora/sdk/tasks';
import { settingsOf, type SettingTable, type TaskFactory, type TaskOptions } from '@onnx-lora/sdk/plugin';
import { ImageTaskFactory, imageSettings } from '../imageTaskFactory.ts';
import { imageProcessor } from './imageProcessor.ts';
import { multiLabelClassification, type MultiLabelOptions } from './multiLabelClassification.ts';

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
    return imageProcessor(model, this.reading, ({ output, outputs }) => {
      const labels = labelsOrNumbers(model, outputs);
      const thresholds = thresholdsOf(model, labels, 0.5);
      return (results) => decodeLabels(results, { output, labels, thresholds });
    });
  }
}
