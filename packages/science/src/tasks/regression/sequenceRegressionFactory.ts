/** @file Regression on sequences for the command line. */

import {
  choice,
  type Predictor,
  type PredictorInput,
  type PredictorOptions,
  type RunnableModel,
  type Task,
  type TaskFactory,
  type TaskOptions,
  type TaskSetting,
} from '@onnx-lora/sdk';
import { withEnsemble } from '../../ensemble/ensembleTask.ts';
import { ensembleSetting } from '../records/answeringAdapters.ts';
import { sequenceOptionsOf } from '../records/headPredictor.ts';
import { sequenceFiles } from '../records/sequencePredictor.ts';
import { headOptions, headSettings, sequenceOptions, sequenceSettings } from '../sequenceSettings.ts';
import { sequenceDefaults } from '../sequenceDefaults.ts';
import { openSequenceRegressor } from './openSequenceRegressor.ts';
import { sequenceRegression } from './sequenceRegression.ts';

/** Makes `sequence-regression` tasks, and what answers with numbers. */
export class SequenceRegressionFactory implements TaskFactory {
  readonly name = 'sequence-regression';
  readonly input: PredictorInput = sequenceFiles;
  readonly description =
    'Numbers about each sequence or pair, such as fitness or solubility; the data is a table with a column of numbers.';
  readonly settings: readonly TaskSetting[] = [
    ...headSettings,
    { name: 'loss', kind: 'text', description: 'mse (default), or huber, which minds outliers less.' },
    ensembleSetting,
    ...sequenceSettings,
  ];
  readonly defaults: NonNullable<TaskFactory['defaults']> = sequenceDefaults;

  /** The task on the data. */
  create(options: TaskOptions): Task {
    const { settings = {} } = options;
    const task = sequenceRegression(options.data, {
      ...sequenceOptions(options),
      ...headOptions(settings),
      loss: choice('loss', settings['loss'], ['mse', 'huber']),
    });
    return withEnsemble(task, settings);
  }

  /** @throws OnnxLoraError as {@link openSequenceRegressor} */
  async predictor(model: RunnableModel, options: PredictorOptions = {}): Promise<Predictor> {
    return openSequenceRegressor(model, await sequenceOptionsOf(options));
  }
}
