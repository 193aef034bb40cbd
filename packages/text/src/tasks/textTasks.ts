/** @file Classification, labelling and regression of texts: tasks, predictors and factories. */

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
import type { TextSource } from '../data/textColumns.ts';
import { textDomain, type TextPredictorOptions, type WholeTextOptions } from '../domain.ts';

/** Options of {@link textClassification}. */
export interface TextClassificationOptions extends WholeTextOptions, ClassifierOptions {}

/**
 * Text classification: one class per text or pair of texts, such as a mail's department, or whether one sentence
 * follows from another. Heads, targets and errors are those of `classification`.
 * @example
 * ```ts
 * const task = textClassification('mails.csv', { validation: 0.2 });
 * const { adapter } = await (await train(model, { task })).done;
 * ```
 */
export function textClassification(
  source: TextSource,
  options: TextClassificationOptions = {},
): Task<SequenceExample<number>, ClassScores> {
  return classification('text-classification', sequenceExamples(textDomain, source, options), options);
}

/** Options of {@link textLabelling}. */
export interface TextLabellingOptions extends WholeTextOptions, LabellingOptions {}

/**
 * Multi-label classification: any number of labels per text or pair of texts, such as topics, in one column that lists
 * them, or in a column of 0 and 1 per label. Heads, targets and errors are those of `labelling`.
 * @example
 * ```ts
 * const task = textLabelling('articles.csv', { validation: 0.2, threshold: 'tuned' });
 * const { adapter } = await (await train(model, { task })).done;
 * ```
 */
export function textLabelling(
  source: TextSource,
  options: TextLabellingOptions = {},
): Task<SequenceExample<LabelVector>, LabelMeasures> {
  return labelling('text-labelling', sequenceExamples(textDomain, source, options), options);
}

/** Options of {@link textRegression}. */
export interface TextRegressionOptions extends WholeTextOptions, RegressionOptions {}

/**
 * Text regression: one or several numbers per text or pair of texts, such as stars, or the similarity of two sentences.
 * Heads, units, gaps, targets and errors are those of `regression`.
 * @example
 * ```ts
 * const task = textRegression('reviews.csv', { columns: { values: 'stars' } });
 * const { adapter } = await (await train(model, { task })).done;
 * ```
 */
export function textRegression(
  source: TextSource,
  options: TextRegressionOptions = {},
): Task<SequenceExample<readonly number[]>, NumberScores> {
  return regression('text-regression', sequenceExamples(textDomain, source, options), options);
}

/**
 * Loads a model that predicts `{ id, label, score }` for each text of a file, `score` being the probability. An adapter
 * with its own head joins the model first: `modelForAdapter(model, adapter)`.
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` for a model that is no classifier; `CONFIG_INVALID`, `FILE_NOT_FOUND` of
 * its tokenizer
 */
export function openTextClassifier(model: RunnableModel, options?: TextPredictorOptions): Promise<Predictor> {
  return openClassifier(textDomain, model, options);
}

/**
 * Loads a model that predicts any number of labels: `{ id, labels }`, and the probability of each label under its name.
 * @throws OnnxLoraError as {@link openTextClassifier}
 */
export function openTextLabeller(model: RunnableModel, options?: TextPredictorOptions): Promise<Predictor> {
  return openLabeller(textDomain, model, options);
}

/**
 * Loads a model that predicts numbers: `{ id, value }`, or `{ id, … }` with several numbers by name.
 * @throws OnnxLoraError as {@link openTextClassifier}
 */
export function openTextRegressor(model: RunnableModel, options?: TextPredictorOptions): Promise<Predictor> {
  return openRegressor(textDomain, model, options);
}

/** The task `text-classification` for the command line, with its predictor of classes. */
export const textClassificationTask: AnsweringFactory = answeringFactory(textDomain, {
  name: 'text-classification',
  description:
    'One class per text or pair of texts, such as a topic; the data is a table with a column of classes, or a folder of text files for each.',
  settings: { ...headSettings, ...classifierSettings('texts') },
  task: textClassification,
  open: openTextClassifier,
});

/** The task `text-labelling` for the command line, with its predictor of labels. */
export const textLabellingTask: AnsweringFactory = answeringFactory(textDomain, {
  name: 'text-labelling',
  description:
    'Any number of labels per text or pair, such as topics; the data is a table with labels, or a column of 0 and 1 for each.',
  settings: { ...headSettings, ...labellingSettings },
  task: textLabelling,
  open: openTextLabeller,
});

/** The task `text-regression` for the command line, with its predictor of numbers. */
export const textRegressionTask: AnsweringFactory = answeringFactory(textDomain, {
  name: 'text-regression',
  description:
    'Numbers about each text or pair, such as stars or likeness; the data is a table with a column of numbers.',
  settings: { ...headSettings, ...regressionSettings },
  task: textRegression,
  open: openTextRegressor,
});
