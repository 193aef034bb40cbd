/** @file Classification, labelling and regression of sequences: tasks, predictors and factories. */

import {
  type AnsweringFactory,
  classification,
  type ClassifierOptions,
  classifierSettings,
  type ClassScores,
  labelling,
  type LabellingOptions,
  labellingSettings,
  type LabelMeasures,
  type LabelVector,
  type Metrics,
  type NumberScores,
  type Predictor,
  regression,
  type RegressionOptions,
  regressionSettings,
  type RunnableModel,
  type Task,
} from '@onnx-lora/sdk/tasks';
import {
  answeringFactory,
  headSettings,
  openClassifier,
  openLabeller,
  openRegressor,
  type SequenceExample,
  sequenceExamples,
} from '@onnx-lora/sequences';
import type { SequenceRecord, SequenceSource } from '../../data/sequenceRecord.ts';
import { sequenceDomain, type SequencePredictorOptions, type WholeSequenceOptions } from '../../domain.ts';

/** Options of {@link sequenceClassification}. */
export interface SequenceClassificationOptions extends WholeSequenceOptions, ClassifierOptions {}

/** Without redundant metrics: weighted F1, and the means of precision and recall. */
export type SequenceClassScores = Omit<ClassScores, 'weightedF1' | 'macroPrecision' | 'macroRecall'> & Metrics;

/**
 * One class per sequence or pair, such as a protein family. Heads, targets and errors are those of `classification`.
 * @example
 * ```ts
 * const task = sequenceClassification('families.csv', { validation: 0.2 });
 * const { adapter } = await (await train(model, { task })).done;
 * ```
 */
export function sequenceClassification(
  source: SequenceSource,
  options: SequenceClassificationOptions = {},
): Task<SequenceExample<number, SequenceRecord>, SequenceClassScores> {
  return classification('sequence-classification', sequenceExamples(sequenceDomain, source, options), options);
}

/** Options of {@link sequenceLabelling}. */
export interface SequenceLabellingOptions extends WholeSequenceOptions, LabellingOptions {}

/**
 * Any number of labels per sequence or pair, such as functions or places in the cell: a column that lists them, or a
 * column of 0 and 1 per label. Heads, targets and errors are those of `labelling`.
 * @example
 * ```ts
 * const task = sequenceLabelling('functions.csv', { validation: 0.2, threshold: 'tuned' });
 * const { adapter } = await (await train(model, { task })).done;
 * ```
 */
export function sequenceLabelling(
  source: SequenceSource,
  options: SequenceLabellingOptions = {},
): Task<SequenceExample<LabelVector, SequenceRecord>, LabelMeasures> {
  return labelling('sequence-labelling', sequenceExamples(sequenceDomain, source, options), options);
}

/** Options of {@link sequenceRegression}. */
export interface SequenceRegressionOptions extends WholeSequenceOptions, RegressionOptions {}

/**
 * Numbers per sequence or pair, such as fitness. Heads, units, gaps, targets and errors are those of `regression`.
 * @example
 * ```ts
 * const task = sequenceRegression('gb1.csv');
 * const { adapter } = await (await train(model, { task })).done;
 * ```
 */
export function sequenceRegression(
  source: SequenceSource,
  options: SequenceRegressionOptions = {},
): Task<SequenceExample<readonly number[], SequenceRecord>, NumberScores> {
  return regression('sequence-regression', sequenceExamples(sequenceDomain, source, options), options);
}

/**
 * Loads a model that answers `{ id, label, score }` for each sequence of a file; `score` is the probability. With
 * several adapters it is their mean, and `deviation` their disagreement. Load an adapter with a head of its own into
 * the model first: `modelForAdapter(model, adapter)`.
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` for other models; `CONFIG_INVALID`, `FILE_NOT_FOUND` of the tokenizer
 */
export function openSequenceClassifier(model: RunnableModel, options?: SequencePredictorOptions): Promise<Predictor> {
  return openClassifier(sequenceDomain, model, options);
}

/**
 * The same for any number of labels: `{ id, labels }`, and each label's probability under its name.
 * @throws OnnxLoraError as {@link openSequenceClassifier}
 */
export function openSequenceLabeller(model: RunnableModel, options?: SequencePredictorOptions): Promise<Predictor> {
  return openLabeller(sequenceDomain, model, options);
}

/**
 * Loads a model that answers `{ id, value }` for each sequence of a file, or `{ id, … }` with several numbers by name.
 * With several adapters they are means, and `deviation` their disagreement. Load an adapter with a head of its own into
 * the model first: `modelForAdapter(model, adapter)`.
 * @example
 * const fitness = await loadAdapter('runs/gb1/adapter');
 * const regressor = await openSequenceRegressor(modelForAdapter(model, fitness), { adapter: fitness });
 * for await (const { prediction } of regressor.predict(['variants.fasta'])) console.log(prediction);
 * await regressor.release();
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` for other models; `CONFIG_INVALID`, `FILE_NOT_FOUND` of the tokenizer
 */
export function openSequenceRegressor(model: RunnableModel, options?: SequencePredictorOptions): Promise<Predictor> {
  return openRegressor(sequenceDomain, model, options);
}

/** The task `sequence-classification` and its predictor of classes. */
export const sequenceClassificationTask: AnsweringFactory = answeringFactory(sequenceDomain, {
  name: 'sequence-classification',
  description:
    'One class per sequence or pair, such as a family, or whether two bind; the data is a table with a column of classes.',
  settings: { ...headSettings, ...classifierSettings('sequences') },
  task: sequenceClassification,
  open: openSequenceClassifier,
});

/** The task `sequence-labelling` and its predictor of any number of labels. */
export const sequenceLabellingTask: AnsweringFactory = answeringFactory(sequenceDomain, {
  name: 'sequence-labelling',
  description:
    'Any number of labels per sequence or pair, such as functions; the data is a table with labels, or a column of 0 and 1 for each.',
  settings: { ...headSettings, ...labellingSettings },
  task: sequenceLabelling,
  open: openSequenceLabeller,
});

/** The task `sequence-regression` and its predictor of numbers. */
export const sequenceRegressionTask: AnsweringFactory = answeringFactory(sequenceDomain, {
  name: 'sequence-regression',
  description:
    'Numbers about each sequence or pair, such as fitness or solubility; the data is a table with a column of numbers.',
  settings: { ...headSettings, ...regressionSettings },
  task: sequenceRegression,
  open: openSequenceRegressor,
});
