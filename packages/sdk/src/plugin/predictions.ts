/** @file Predictions by the name of their task, so that a program with types knows what an answer has. */

import type { Prediction } from './predictor.ts';

/**
 * The predictions of tasks by name. A package adds those of its tasks:
 *
 * @example
 * declare module '@onnx-lora/sdk' {
 *   interface TaskPredictions {
 *     'cell-counting': NumberPrediction;
 *   }
 * }
 */
export interface TaskPredictions {}

/** The prediction of a task of this name; of a name that no package has added, any {@link Prediction}. */
export type PredictionOf<Name> = Name extends keyof TaskPredictions ? TaskPredictions[Name] : Prediction;

/** A class and its probability, 0 to 1. */
export interface ScoredLabel {
  /** The name of the class. */
  readonly label: string;
  /** Its probability. */
  readonly score: number;
}

/** The likeliest class, and the five likeliest, best first. */
export type ClassPrediction = Readonly<ScoredLabel & { top: readonly ScoredLabel[] }>;

/** The labels above their thresholds, joined by commas, and the probability of each label, 0 to 1. */
export type LabelsPrediction = Readonly<{ labels: string; scores: Readonly<Record<string, number>> }>;

/** A number, or several by name. */
export type NumberPrediction = Readonly<{ value?: number; values?: Readonly<Record<string, number>> }>;

/** A vector with its length. */
export type EmbeddingPrediction = Readonly<{ width: number; embedding: Float32Array }>;

/** The prediction about a record, with the record's id. */
export type RecordPrediction<Said> = Readonly<{ id: string }> & Said;

/** The likeliest class of a record; `deviation` is that of the adapters that answer together. */
export type RecordClassPrediction = RecordPrediction<ScoredLabel & Readonly<{ deviation?: number }>>;

/** The labels of a record above their thresholds, joined by commas; beside them the probability of each label under its name. */
export type RecordLabelsPrediction = RecordPrediction<Readonly<{ labels: string; [label: string]: number | string }>>;

/** The number `value` of a record, or several numbers under their names; `deviation` is that of the adapters that answer together. */
export type RecordNumberPrediction = RecordPrediction<
  Readonly<{ value?: number; deviation?: number; [name: string]: number | string | undefined }>
>;
