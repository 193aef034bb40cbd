/** @file What a training run tells while it goes on: one type per kind of event, told apart by `type`. */

import type { Evaluation } from './measure.ts';

/** One optimizer step was made. */
export interface StepEvent {
  readonly type: 'step';
  /** Counted from 1. */
  readonly step: number;
  readonly steps: number;
  /** Passes over the data so far, such as 1.25. */
  readonly epoch: number;
  /** Mean loss of the batch, before the step. */
  readonly loss: number;
  readonly lr: number;
  /** Euclidean norm of all gradients together, before clipping. */
  readonly gradNorm: number;
  readonly samplesPerSecond: number;
  /** Estimate, from the pace so far. */
  readonly secondsLeft: number;
  /** Bytes of memory that the process holds. */
  readonly memory: number;
}

/** Held-out data was measured. */
export interface EvaluationEvent {
  readonly type: 'evaluation';
  /** The steps made before. */
  readonly step: number;
  readonly metrics: Evaluation['metrics'];
  readonly confusion?: Evaluation['confusion'];
  readonly examples: number;
  readonly seconds: number;
  /** True when no evaluation of this run was better. */
  readonly best: boolean;
}

/** A checkpoint is on the disk. */
export interface CheckpointEvent {
  readonly type: 'checkpoint';
  readonly step: number;
  readonly folder: string;
}

/** A step left the adapter as it was, because loss or gradient was no finite number. */
export interface SkippedEvent {
  readonly type: 'skipped';
  readonly step: number;
  readonly message: string;
  /** Which examples the batch held, by their index in the task's training data. */
  readonly examples: readonly number[];
  /** How many steps in a row were skipped, this one included. */
  readonly inARow: number;
}

/** An example could not be loaded and was left out. */
export interface BadSampleEvent {
  readonly type: 'badSample';
  readonly step: number;
  /** Its index in the task's training data. */
  readonly example: number;
  /** Why: it names the file. */
  readonly message: string;
  /** How many different examples were left out so far. */
  readonly count: number;
}

/** Something went wrong that does not end the run. */
export interface WarningEvent {
  readonly type: 'warning';
  readonly step: number;
  readonly message: string;
}

/** Any of them. */
export type TrainEvent = StepEvent | EvaluationEvent | CheckpointEvent | SkippedEvent | BadSampleEvent | WarningEvent;
