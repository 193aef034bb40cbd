/** @file What is found when held-out examples are measured, and what a training run tells while it goes on. */

import type { Draws, Interval } from '../statistics/bootstrap.ts';
import type { MetricCollector } from './dataset.ts';
import type { Metrics } from '../statistics/measure.ts';

/** What a measurement finds. */
export interface Evaluation<Scores extends Metrics = Metrics> {
  /** Metrics by name; the first is the one by which models are compared. */
  readonly metrics: Scores;
  /** Counts `[true class, predicted class]`, where the task has classes. */
  readonly confusion?: ReturnType<NonNullable<MetricCollector['confusion']>>;
  /** Intervals that hold metrics with a probability of 95%, where the task gives them. */
  readonly intervals?: Readonly<Record<string, Interval>>;
  /** The metrics on sets of examples that are drawn with replacement, by which `verdictOf` compares two measurements. */
  readonly draws?: Draws;
  /** How many examples were measured. */
  readonly examples: number;
  /** How long it took. */
  readonly seconds: number;
  /** How many of these the adapter was trained on, where that is known. */
  readonly trainedOn?: number;
  /** How many others were left out, since the adapter was trained on them. */
  readonly leftOut?: number;
  /**
   * True where the base has no head for the data's labels, and its answers are those of a linear probe: a head that is fitted to
   * the frozen model on the training data, as a training begins.
   */
  readonly probedHead?: boolean;
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

/** One optimizer step was made. */
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
  /** Examples per second, on average since the run began or was resumed. */
  readonly samplesPerSecond: number;
  /** Estimate, from the pace so far. */
  readonly secondsLeft: number;
  /** Bytes of memory that the process holds. */
  readonly memory: number;
}

/** Held-out data was measured. */
export interface EvaluationEvent<Scores extends Metrics = Metrics> extends Pick<
  Evaluation<Scores>,
  'metrics' | 'confusion' | 'examples' | 'seconds'
> {
  readonly type: 'evaluation';
  /** The steps made before. */
  readonly step: number;
  /** Intervals that hold metrics with a probability of 95%, where the task gives them: of the last evaluation, and with `loadBest` of the best. */
  readonly intervals?: Evaluation['intervals'];
  /** What these are made of. */
  readonly draws?: Evaluation['draws'];
  /** True when no evaluation of this run was better. */
  readonly best: boolean;
}

/** A checkpoint is on the disk. */
export interface CheckpointEvent {
  readonly type: 'checkpoint';
  /** Steps made when it was written. */
  readonly step: number;
  /** Where it is; `resume` takes it. */
  readonly folder: string;
}

/** A step left the adapter as it was, because loss or gradient was no finite number. */
export interface SkippedEvent {
  readonly type: 'skipped';
  /** The step, counted from 1. */
  readonly step: number;
  /** What was not finite, and what to do about it. */
  readonly message: string;
  /** Which examples the batch held, by their index in the task's training data. */
  readonly examples: readonly number[];
  /** How many steps in a row were skipped, this one included. */
  readonly inARow: number;
}

/** An example could not be loaded and was left out. */
export interface BadSampleEvent extends BadSample {
  readonly type: 'badSample';
  /** Steps made before. */
  readonly step: number;
  /** How many different examples were left out so far. */
  readonly count: number;
}

/** Where a run has diverged. */
export interface Divergence {
  /** The step after which the loss had risen so far. */
  readonly step: number;
  /** The loss of the first step. */
  readonly start: number;
  /** The loss of that step; NaN where a held-out loss was no finite number. */
  readonly loss: number;
}

/** Something went wrong that does not end the run. */
export interface WarningEvent {
  readonly type: 'warning';
  /** Steps made before. */
  readonly step: number;
  /** What went wrong, and what to do about it. */
  readonly message: string;
  /** Where the run has diverged, of the warning that says so. */
  readonly diverged?: Divergence;
}

/** Any of them. */
export type TrainEvent<Scores extends Metrics = Metrics> =
  StepEvent | EvaluationEvent<Scores> | CheckpointEvent | SkippedEvent | BadSampleEvent | WarningEvent;
