/** @file Classification of sequences for the command line. */

import type { PredictorInput, PredictorOptions, TaskFactory, TaskOptions, TaskSetting } from '@onnx-lora/sdk/plugin';
import { choice, type Predictor, type RunnableModel, type Task } from '@onnx-lora/sdk/tasks';
import { withEnsemble } from '../../ensemble/evaluateEnsemble.ts';
import { ensembleSetting } from '../records/answeringAdapters.ts';
import { sequenceOptionsOf } from '../records/headPredictor.ts';
import { sequenceFiles } from '../records/sequencePredictor.ts';
import { sequenceDefaults } from '../sequenceDefaults.ts';
import { headOptions, headSettings, sequenceOptions, sequenceSettings } from '../sequenceSettings.ts';
import { openSequenceClassifier, openSequenceLabeller } from './openSequenceClassifier.ts';
import { sequenceClassification, sequenceLabelling } from './sequenceTasks.ts';

/** Makes `sequence-classification` tasks, and what answers with classes. */
export class SequenceClassificationFactory implements TaskFactory {
  readonly name = 'sequence-classification';
  readonly input: PredictorInput = sequenceFiles;
  readonly description =
    'One class per sequence or pair, such as a family, or whether two bind; the data is a table with a column of classes.';
  readonly settings: readonly TaskSetting[] = [
    ...headSettings,
    { name: 'labelSmoothing', kind: 'number', description: 'How much of a label is spread over all classes, 0 to 1.' },
    {
      name: 'classWeights',
      kind: 'text',
      description: 'balanced: rare classes count as much as frequent ones; effective: nearly so.',
    },
    {
      name: 'calibrate',
      kind: 'flag',
      description: 'Fits a temperature on held-out sequences, for probabilities to trust.',
    },
    ensembleSetting,
    ...sequenceSettings,
  ];
  readonly defaults: NonNullable<TaskFactory['defaults']> = sequenceDefaults;

  /** The task on the data. */
  create(options: TaskOptions): Task {
    const { settings = {} } = options;
    const { labelSmoothing, classWeights, calibrate } = settings;
    const task = sequenceClassification(options.data, {
      ...sequenceOptions(options),
      ...headOptions(settings),
      ...(typeof labelSmoothing === 'number' ? { labelSmoothing } : {}),
      classWeights: choice('classWeights', classWeights, ['balanced', 'effective']),
      ...(calibrate === true ? { calibrate } : {}),
    });
    return withEnsemble(task, settings);
  }

  /** @throws OnnxLoraError as {@link openSequenceClassifier} */
  async predictor(model: RunnableModel, options: PredictorOptions = {}): Promise<Predictor> {
    return openSequenceClassifier(model, await sequenceOptionsOf(options));
  }
}

/** Makes `sequence-labelling` tasks, and what answers with any number of labels. */
export class SequenceLabellingFactory implements TaskFactory {
  readonly name = 'sequence-labelling';
  readonly input: PredictorInput = sequenceFiles;
  readonly description =
    'Any number of labels per sequence or pair, such as functions; the data is a table with labels, or a column of 0 and 1 for each.';
  readonly settings: readonly TaskSetting[] = [
    ...headSettings,
    { name: 'threshold', kind: 'text', description: 'Probability from which a label is given (0.5), or tuned.' },
    { name: 'posWeights', kind: 'text', description: 'balanced: rare labels count as much as frequent ones.' },
    ensembleSetting,
    ...sequenceSettings,
  ];
  readonly defaults: NonNullable<TaskFactory['defaults']> = sequenceDefaults;

  /** The task on the data. */
  create(options: TaskOptions): Task {
    const { settings = {} } = options;
    const { posWeights, threshold } = settings;
    const task = sequenceLabelling(options.data, {
      ...sequenceOptions(options),
      ...headOptions(settings),
      ...(threshold === undefined ? {} : { threshold: threshold === 'tuned' ? threshold : Number(threshold) }),
      posWeights: choice('posWeights', posWeights, ['balanced']),
    });
    return withEnsemble(task, settings);
  }

  /** @throws OnnxLoraError as {@link openSequenceLabeller} */
  async predictor(model: RunnableModel, options: PredictorOptions = {}): Promise<Predictor> {
    return openSequenceLabeller(model, await sequenceOptionsOf(options));
  }
}
