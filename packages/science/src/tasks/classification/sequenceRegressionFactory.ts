/** @file Regression on sequences for the command line. */

import type { PredictorInput, PredictorOptions, TaskFactory, TaskOptions, TaskSetting } from '@onnx-lora/sdk/plugin';
import {
  choice,
  labelsOrNumbers,
  type Prediction,
  type Predictor,
  type RunnableModel,
  type Task,
} from '@onnx-lora/sdk/tasks';
import { withEnsemble } from '../../ensemble/evaluateEnsemble.ts';
import { ensembleSetting } from '../records/answeringAdapters.ts';
import { headPredictor, sequenceOptionsOf, type SequencePredictorOptions } from '../records/headPredictor.ts';
import { sequenceFiles } from '../records/sequencePredictor.ts';
import { headOptions, headSettings, sequenceOptions, sequenceSettings } from '../sequenceSettings.ts';
import { sequenceDefaults } from '../sequenceDefaults.ts';
import { sequenceRegression } from './sequenceTasks.ts';

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

/**
 * Loads a model that answers `{ id, value }` about each sequence of a file, or `{ id, … }` with several numbers by their names.
 * Where several adapters answer together, it is the mean, and `deviation` says how far they differ. An adapter with a head of its
 * own goes into the model first: `modelFor(model, adapter)`.
 *
 * @example
 * const fitness = await loadAdapter('runs/gb1/adapter');
 * const regressor = await openSequenceRegressor(modelFor(model, fitness), { adapter: fitness });
 * for await (const { prediction } of regressor.predict(['variants.fasta'])) console.log(prediction);
 * await regressor.release();
 *
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` for a model that gives no numbers; `CONFIG_INVALID`, `FILE_NOT_FOUND` of its tokenizer
 */
export function openSequenceRegressor(
  model: RunnableModel,
  options: SequencePredictorOptions = {},
): Promise<Predictor> {
  return headPredictor(model, options, 'numbers', (outputs) => {
    const names = outputs === 1 ? ['value'] : labelsOrNumbers(model, outputs);
    return {
      answerOf: (scores) => scores,
      shown: ({ mean, deviation }): Prediction => ({
        ...Object.fromEntries(names.map((name, i) => [name, mean[i]!])),
        ...(deviation && Object.fromEntries(names.map((name, i) => [deviationOf(name), deviation[i]!]))),
      }),
    };
  });
}

function deviationOf(name: string): string {
  return name === 'value' ? 'deviation' : `${name} deviation`;
}
