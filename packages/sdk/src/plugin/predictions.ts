/** @file Types of predictions by task name. */

import type { Prediction } from './predictor.ts';

/**
 * The predictions of tasks by name. A package adds those of its tasks:
 * @example
 * declare module '@onnx-lora/sdk' {
 *   interface TaskPredictions {
 *     'cell-counting': NumberPrediction;
 *   }
 * }
 */
export interface TaskPredictions {}

/** The prediction type of a task by name; {@link Prediction} for names that no package has added. */
export type PredictionOf<Name> = Name extends keyof TaskPredictions ? TaskPredictions[Name] : Prediction;

/** A class and its probability, 0 to 1. */
export interface ScoredLabel {
  /** The name of the class. */
  readonly label: string;
  /** Its probability. */
  readonly score: number;
}

/** The most likely class, and the top five. */
export type ClassPrediction = Readonly<ScoredLabel & { top: readonly ScoredLabel[] }>;

/** The labels above their thresholds, joined by commas, and the probability of each label. */
export type LabelsPrediction = Readonly<{ labels: string; scores: Readonly<Record<string, number>> }>;

/** A number, or several by name. */
export type NumberPrediction = Readonly<{ value?: number; values?: Readonly<Record<string, number>> }>;

/** An embedding and its width. */
export type EmbeddingPrediction = Readonly<{ width: number; embedding: Float32Array }>;

/** The prediction for a record, with the record's id. */
export type RecordPrediction<Said> = Readonly<{ id: string }> & Said;

/** The most likely class of a record; `deviation` is the standard deviation over an ensemble of adapters. */
export type RecordClassPrediction = RecordPrediction<ScoredLabel & Readonly<{ deviation?: number }>>;

/** The labels of a record above their thresholds, joined by commas, and each label's probability under its name. */
export type RecordLabelsPrediction = RecordPrediction<Readonly<{ labels: string; [label: string]: number | string }>>;

/** The `value` of a record, or several by name; `deviation` is the standard deviation over an ensemble of adapters. */
export type RecordNumberPrediction = RecordPrediction<
  Readonly<{ value?: number; deviation?: number; [name: string]: number | string | undefined }>
>;
