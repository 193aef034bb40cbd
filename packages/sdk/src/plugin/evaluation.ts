/** @file What is found when a task's held-out examples are measured. */

import type { MetricCollector, Metrics } from './dataset.ts';

/** What a measurement finds. */
export interface Evaluation<Scores extends Metrics = Metrics> {
  /** Metrics by name; the first is the one by which models are compared. */
  readonly metrics: Scores;
  /** Counts `[true class, predicted class]`, where the task has classes. */
  readonly confusion?: ReturnType<NonNullable<MetricCollector['confusion']>>;
  /** Intervals that hold metrics with a probability of 95%, where the task gives them. */
  readonly intervals?: ReturnType<NonNullable<MetricCollector['intervals']>>;
  /** How many examples were measured. */
  readonly examples: number;
  /** How long it took. */
  readonly seconds: number;
  /** How many of these the adapter was trained on, where that is known. */
  readonly trainedOn?: number;
  /** How many others were left out, since the adapter was trained on them. */
  readonly leftOut?: number;
  /** True where the base has no head for the data's labels, and its answers are those of one that was never trained. */
  readonly untrainedHead?: boolean;
  /** Examples that `evaluate` left out, because they could not be loaded. */
  readonly badSamples?: readonly BadSample[];
}

/** An example that could not be loaded. */
export interface BadSample {
  /** Its index in the task's data. */
  readonly example: number;
  /** Why: it names the file. */
  readonly message: string;
}
