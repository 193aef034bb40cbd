/** @file Numbers about sequences that nobody has measured. */

import { labelsOrNumbers, type Prediction, type Predictor, type RunnableModel } from '@onnx-lora/sdk';
import { headPredictor, type SequencePredictorOptions } from '../records/headPredictor.ts';

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
