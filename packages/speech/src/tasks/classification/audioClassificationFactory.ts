/** @file Classification of sound for the command line: tasks by name, and answers about files without labels. */

import {
  choice,
  filePredictor,
  type Predictor,
  type Processor,
  type RunnableModel,
  type Task,
  type TaskModel,
} from '@onnx-lora/sdk/tasks';
import type {
  PredictorOptions,
  PreprocessorFactory,
  TaskFactory,
  TaskOptions,
  TaskSetting,
} from '@onnx-lora/sdk/plugin';
import type { AudioReader } from '../../audio/audio.ts';
import { soundSettings, soundTaskOptions } from '../soundSettings.ts';
import { audioClassification, audioTagging, audioClassifier } from './audioClassification.ts';
import type { AudioTaskOptions } from './audioExamples.ts';

const headSetting: TaskSetting = {
  name: 'head',
  kind: 'text',
  description: 'auto (a new head where the model does not know the labels; the default), new, or keep.',
};

/** What factories of classifiers share. */
abstract class SoundClassifierFactory {
  /** How recordings become features. */
  protected readonly reading: { readonly reader: AudioReader; readonly preprocessors: readonly PreprocessorFactory[] };

  /** `preprocessors` are asked in order. */
  constructor(reader: AudioReader, preprocessors: readonly PreprocessorFactory[]) {
    this.reading = { reader, preprocessors };
  }

  /** What both tasks are told. */
  protected optionsOf(options: TaskOptions): AudioTaskOptions {
    return {
      ...soundTaskOptions(options),
      ...this.reading,
      head: choice('head', options.settings?.['head'], ['auto', 'new', 'keep']),
    };
  }

  /** How recordings become feeds, and what the outputs mean; for programs that run the session themselves. */
  abstract processor(model: TaskModel): Promise<Processor>;

  /** Answers about recordings. */
  async predictor(model: RunnableModel, options: PredictorOptions = {}): Promise<Predictor> {
    return filePredictor(model, await this.processor(model), options);
  }
}

/** Makes `audio-classification` tasks and predictors. */
export class AudioClassificationFactory extends SoundClassifierFactory implements TaskFactory {
  readonly name = 'audio-classification';
  readonly description =
    'One class per recording, such as a word, an emotion or a speaker; the data is a folder of recordings for each class, or a manifest.';
  readonly settings: readonly TaskSetting[] = [
    headSetting,
    { name: 'labelSmoothing', kind: 'number', description: 'How much of a label is spread over all classes, 0 to 1.' },
    {
      name: 'classWeights',
      kind: 'text',
      description: 'balanced: rare classes count as much as frequent ones; effective: nearly so.',
    },
    {
      name: 'calibrate',
      kind: 'flag',
      description: 'Fits a temperature on held-out recordings, for probabilities to trust.',
    },
    ...soundSettings,
  ];

  /** The task on the data. */
  create(options: TaskOptions): Task {
    const { labelSmoothing, classWeights, calibrate } = options.settings ?? {};
    return audioClassification(options.data, {
      ...this.optionsOf(options),
      ...(typeof labelSmoothing === 'number' ? { labelSmoothing } : {}),
      classWeights: choice('classWeights', classWeights, ['balanced', 'effective']),
      ...(calibrate === true ? { calibrate } : {}),
    });
  }

  processor(model: TaskModel): Promise<Processor> {
    return audioClassifier(model, this.reading);
  }
}

/** Makes `audio-tagging` tasks and predictors. */
export class AudioTaggingFactory extends SoundClassifierFactory implements TaskFactory {
  readonly name = 'audio-tagging';
  readonly description =
    'Any number of labels per recording, such as what is heard in it; the data is a manifest with labels.';
  readonly settings: readonly TaskSetting[] = [
    headSetting,
    { name: 'threshold', kind: 'text', description: 'Probability from which a label is given (0.5), or tuned.' },
    { name: 'posWeights', kind: 'text', description: 'balanced: rare labels count as much as frequent ones.' },
    ...soundSettings,
  ];

  /** The task on the data. */
  create(options: TaskOptions): Task {
    const { threshold, posWeights } = options.settings ?? {};
    return audioTagging(options.data, {
      ...this.optionsOf(options),
      ...(threshold === undefined ? {} : { threshold: threshold === 'tuned' ? threshold : Number(threshold) }),
      posWeights: choice('posWeights', posWeights, ['balanced']),
    });
  }

  processor(model: TaskModel): Promise<Processor> {
    return audioClassifier(model, this.reading, 'labels');
  }
}
