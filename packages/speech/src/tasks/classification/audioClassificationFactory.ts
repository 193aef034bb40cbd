/** @file Classification of sound for the command line: tasks by name, and answers about files without labels. */

import {
  classifierSettings,
  filePredictor,
  headSetting,
  labellingSettings,
  type Predictor,
  type Processor,
  type RunnableModel,
  type Task,
  type TaskModel,
} from '@onnx-lora/sdk/tasks';
import {
  type PredictorOptions,
  settingsOf,
  type SettingTable,
  type TaskFactory,
  type TaskOptions,
} from '@onnx-lora/sdk/plugin';
import {
  audioClassification,
  audioTagging,
  audioClassifier,
  type AudioClassificationOptions,
  type AudioTaggingOptions,
} from './audioClassification.ts';
import { soundSettings, SoundTaskFactory } from '../soundTaskFactory.ts';

/** What factories of classifiers share. */
abstract class SoundClassifierFactory<Options> extends SoundTaskFactory<Options> {
  /** How recordings become feeds, and what the outputs mean; for programs that run the session themselves. */
  abstract processor(model: TaskModel): Promise<Processor>;

  /** Answers about recordings. */
  async predictor(model: RunnableModel, options: PredictorOptions = {}): Promise<Predictor> {
    return filePredictor(model, await this.processor(model), options);
  }
}

/** Makes `audio-classification` tasks and predictors. */
export class AudioClassificationFactory
  extends SoundClassifierFactory<AudioClassificationOptions>
  implements TaskFactory
{
  readonly name = 'audio-classification';
  readonly description =
    'One class per recording, such as a word, an emotion or a speaker; the data is a folder of recordings for each class, or a manifest.';
  readonly settings: SettingTable<AudioClassificationOptions> = settingsOf({
    head: headSetting,
    ...classifierSettings('recordings'),
    ...soundSettings,
  });

  /** The task on the data. */
  create(options: TaskOptions): Task {
    return audioClassification(options.data, this.optionsOf(options));
  }

  processor(model: TaskModel): Promise<Processor> {
    return audioClassifier(model, this.reading);
  }
}

/** Makes `audio-tagging` tasks and predictors. */
export class AudioTaggingFactory extends SoundClassifierFactory<AudioTaggingOptions> implements TaskFactory {
  readonly name = 'audio-tagging';
  readonly description =
    'Any number of labels per recording, such as what is heard in it; the data is a manifest with labels.';
  readonly settings: SettingTable<AudioTaggingOptions> = settingsOf({
    head: headSetting,
    ...labellingSettings,
    ...soundSettings,
  });

  /** The task on the data. */
  create(options: TaskOptions): Task {
    return audioTagging(options.data, this.optionsOf(options));
  }

  processor(model: TaskModel): Promise<Processor> {
    return audioClassifier(model, this.reading, 'labels');
  }
}
