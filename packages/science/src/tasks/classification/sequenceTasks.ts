/** @file Teaches and tests models that answer about whole sequences: with a class, with labels, or with numbers. */

import {
  classification,
  type ClassifierOptions,
  type ClassScores,
  type LabelMeasures,
  labelling,
  type LabellingOptions,
  type LabelVector,
  type Metrics,
  type NumberScores,
  regression,
  type RegressionOptions,
  type Task,
} from '@onnx-lora/sdk/tasks';
import { type SequenceExample, sequenceExamples } from '@onnx-lora/sequences';
import type { SequenceRecord, SequenceSource } from '../../data/sequenceRecord.ts';
import { sequenceDomain, type WholeSequenceOptions } from '../../domain.ts';

/** Options of {@link sequenceClassification}. */
export interface SequenceClassificationOptions extends WholeSequenceOptions, ClassifierOptions {}

/** Without what other metrics tell as well: weighted F1, and the means of precision and recall. */
export type SequenceClassScores = Omit<ClassScores, 'weightedF1' | 'macroPrecision' | 'macroRecall'> & Metrics;

/**
 * One class per sequence, or per pair of sequences, such as the family of a protein, or whether two bind. Heads, targets and
 * errors are those of `classification`.
 *
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
 * Any number of labels per sequence, or per pair of sequences, such as functions or places in the cell: a column that lists
 * them, or a column of 0 and 1 for each. Heads, targets and errors are those of `labelling`.
 *
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
 * One or several numbers per sequence, or per pair of sequences, such as fitness, solubility or affinity. Heads, units, gaps,
 * targets and errors are those of `regression`.
 *
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
