/** @file The result of an evaluation, and the events of a training run. */

import type { Draws, Interval } from '../statistics/bootstrap.ts';
import type { MetricCollector } from './dataset.ts';
import type { Metrics } from '../statistics/measure.ts';

/** The result of an evaluation. */
export interface Evaluation<Scores extends Metrics = Metrics> {
  /** Metrics by name; models are compared by the first. */
  readonly metrics: Scores;
  /** Counts `[true class, predicted class]`, where the task has classes. */
  readonly confusion?: ReturnType<NonNullable<MetricCollector['confusion']>>;
  /** 95% confidence intervals of metrics, where the task gives them. */
  readonly intervals?: Readonly<Record<string, Interval>>;
  /** Metrics of bootstrap resamples; `verdictOf` compares two evaluations by them. */
  readonly draws?: Draws;
  /** Number of examples evaluated. */
  readonly examples: number;
  /** Duration in seconds. */
  readonly seconds: number;
  /** How many of the examples the adapter was trained on, where known. */
  readonly trainedOn?: number;
  /** How many examples were excluded because the adapter was trained on them. */
  readonly leftOut?: number;
  /** True if the base has no head for the labels and a linear probe, fitted to the frozen model, answers instead. */
  readonly probedHead?: boolean;
  /** True where the base has no head for the labels and an untrained one answers in its place. */
  readonly untrainedHead?: boolean;
  /** Examples that could not be loaded. */
  readonly badSamples?: readonly BadSample[];
}

/** An example that could not be loaded. */
export interface BadSample {
  /** Its index in the task's data. */
  readonly example: number;
  /** The reason, with the name of the file. */
  readonly message: string;
}

/** An optimizer step. */
export interface StepEvent {
  readonly type: 'step';
  /** Counted from 1. */
  readonly step: number;
  /** Steps of the whole run. */
  readonly steps: number;
  /** Passes over the data so far, such as 1.25. */
  readonly epoch: number;
  /** Mean loss of the batch, before the step. */
  readonly loss: number;
  /** Learning rate of the step; a group's `lrFactor` is not in it. */
  readonly lr: number;
  /** Euclidean norm of all gradients together, before clipping. */
  readonly gradNorm: number;
  /** Examples per second, averaged since the run started or was resumed. */
  readonly samplesPerSecond: number;
  /** Estimate from the speed so far. */
  readonly secondsLeft: number;
  /** Memory of the process in bytes. */
  readonly memory: number;
}

/** An evaluation on held-out data. */
export interface EvaluationEvent<Scores extends Metrics = Metrics> extends Pick<
  Evaluation<Scores>,
  'metrics' | 'confusion' | 'examples' | 'seconds'
> {
  readonly type: 'evaluation';
  /** The steps made before. */
  readonly step: number;
  /** 95% confidence intervals: after the last evaluation, and with `loadBest` after the best. */
  readonly intervals?: Evaluation['intervals'];
  /** Metrics of bootstrap resamples, the source of `intervals`. */
  readonly draws?: Evaluation['draws'];
  /** True when no evaluation of this run was better. */
  readonly best: boolean;
}

/** A checkpoint was written. */
export interface CheckpointEvent {
  readonly type: 'checkpoint';
  /** Steps made when it was written. */
  readonly step: number;
  /** Its folder, as `resume` takes it. */
  readonly folder: string;
}

/** A step was skipped, because the loss or a gradient was not finite. */
export interface SkippedEvent {
  readonly type: 'skipped';
  /** The step, counted from 1. */
  readonly step: number;
  /** The value that is not finite, and a remedy. */
  readonly message: string;
  /** The examples of the batch, by their index in the training data. */
  readonly examples: readonly number[];
  /** Consecutive skipped steps, including this one. */
  readonly inARow: number;
}

/** An example was skipped because it could not be loaded. */
export interface BadSampleEvent extends BadSample {
  readonly type: 'badSample';
  /** Steps made before. */
  readonly step: number;
  /** Different examples skipped so far. */
  readonly count: number;
}

/** Where a run diverged. */
export interface Divergence {
  /** The step after which the loss had risen too far. */
  readonly step: number;
  /** The loss of the first step. */
  readonly start: number;
  /** The loss of that step; NaN where a held-out loss was not finite. */
  readonly loss: number;
}

/** A problem that does not end the run. */
export interface WarningEvent {
  readonly type: 'warning';
  /** Steps made before. */
  readonly step: number;
  /** The problem and its remedy. */
  readonly message: string;
  /** Where the run diverged, in the warning about that. */
  readonly diverged?: Divergence;
}

/** Any event of a training run. */
export type TrainEvent<Scores extends Metrics = Metrics> =
  StepEvent | EvaluationEvent<Scores> | CheckpointEvent | SkippedEvent | BadSampleEvent | WarningEvent;
