/** @file Classes, labels and numbers of sequences that nobody has labelled. */

import type { Predictor, RunnableModel } from '@onnx-lora/sdk/tasks';
import { openClassifier, openLabeller, openRegressor } from '@onnx-lora/sequences';
import { sequenceDomain, type SequencePredictorOptions } from '../../domain.ts';

/**
 * Loads a model that answers `{ id, label, score }` about each sequence of a file, where `score` is the probability. Where several
 * adapters answer together, it is the mean, and `deviation` says how far they differ. An adapter with a head of its own goes into
 * the model first: `modelFor(model, adapter)`.
 *
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` for a model that is no classifier; `CONFIG_INVALID`, `FILE_NOT_FOUND` of its tokenizer
 */
export function openSequenceClassifier(model: RunnableModel, options?: SequencePredictorOptions): Promise<Predictor> {
  return openClassifier(sequenceDomain, model, options);
}

/**
 * The same for models with any number of labels: `{ id, labels }`, and the probability of each label under its name.
 *
 * @throws OnnxLoraError as {@link openSequenceClassifier}
 */
export function openSequenceLabeller(model: RunnableModel, options?: SequencePredictorOptions): Promise<Predictor> {
  return openLabeller(sequenceDomain, model, options);
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
export function openSequenceRegressor(model: RunnableModel, options?: SequencePredictorOptions): Promise<Predictor> {
  return openRegressor(sequenceDomain, model, options);
}
