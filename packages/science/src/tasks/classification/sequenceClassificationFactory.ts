/** @file Classification of sequences for the command line. */

import { type TaskFactory, settingsOf, type SettingTable } from '@onnx-lora/sdk/plugin';
import {
  type Predictor,
  type RunnableModel,
  type Task,
  classifierSettings,
  labellingSettings,
} from '@onnx-lora/sdk/tasks';
import { type SequencePredictorOptions } from '../records/headPredictor.ts';
import { openSequenceClassifier, openSequenceLabeller } from './openSequenceClassifier.ts';
import {
  sequenceClassification,
  sequenceLabelling,
  type SequenceClassificationOptions,
  type SequenceLabellingOptions,
} from './sequenceTasks.ts';
import { headSettings, AnsweringFactory, type AnsweringOptions, answeringSettings } from '../sequenceTaskFactory.ts';

/** Makes `sequence-classification` tasks, and what answers with classes. */
export class SequenceClassificationFactory
  extends AnsweringFactory<SequenceClassificationOptions & AnsweringOptions>
  implements TaskFactory
{
  readonly name = 'sequence-classification';
  readonly description =
    'One class per sequence or pair, such as a family, or whether two bind; the data is a table with a column of classes.';
  readonly settings: SettingTable<SequenceClassificationOptions & AnsweringOptions> = settingsOf({
    ...headSettings,
    ...classifierSettings('sequences'),
    ...answeringSettings,
  });

  protected task(data: string, options: SequenceClassificationOptions): Task {
    return sequenceClassification(data, options);
  }

  protected open(model: RunnableModel, options: SequencePredictorOptions): Promise<Predictor> {
    return openSequenceClassifier(model, options);
  }
}

/** Makes `sequence-labelling` tasks, and what answers with any number of labels. */
export class SequenceLabellingFactory
  extends AnsweringFactory<SequenceLabellingOptions & AnsweringOptions>
  implements TaskFactory
{
  readonly name = 'sequence-labelling';
  readonly description =
    'Any number of labels per sequence or pair, such as functions; the data is a table with labels, or a column of 0 and 1 for each.';
  readonly settings: SettingTable<SequenceLabellingOptions & AnsweringOptions> = settingsOf({
    ...headSettings,
    ...labellingSettings,
    ...answeringSettings,
  });

  protected task(data: string, options: SequenceLabellingOptions): Task {
    return sequenceLabelling(data, options);
  }

  protected open(model: RunnableModel, options: SequencePredictorOptions): Promise<Predictor> {
    return openSequenceLabeller(model, options);
  }
}
