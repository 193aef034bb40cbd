/** @file Regression on sequences for the command line. */

import { type TaskFactory, settingsOf, type SettingTable } from '@onnx-lora/sdk/plugin';
import {
  labelsOrNumbers,
  type Prediction,
  type Predictor,
  regressionSettings,
  type RunnableModel,
  type Task,
} from '@onnx-lora/sdk/tasks';
import { headPredictor, type SequencePredictorOptions } from '../records/headPredictor.ts';
import { sequenceRegression, type SequenceRegressionOptions } from './sequenceTasks.ts';
import { headSettings, AnsweringFactory, type AnsweringOptions, answeringSettings } from '../sequenceTaskFactory.ts';

/** Makes `sequence-regression` tasks, and what answers with numbers. */
export class SequenceRegressionFactory
  extends AnsweringFactory<SequenceRegressionOptions & AnsweringOptions>
  implements TaskFactory
{
  readonly name = 'sequence-regression';
  readonly description =
    'Numbers about each sequence or pair, such as fitness or solubility; the data is a table with a column of numbers.';
  readonly settings: SettingTable<SequenceRegressionOptions & AnsweringOptions> = settingsOf({
    ...headSettings,
    ...regressionSettings,
    ...answeringSettings,
  });

  protected task(data: string, options: SequenceRegressionOptions): Task {
    return sequenceRegression(data, options);
  }

  protected open(model: RunnableModel, options: SequencePredictorOptions): Promise<Predictor> {
    return openSequenceRegressor(model, options);
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
