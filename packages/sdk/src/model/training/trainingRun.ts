/** @file The public interface of a training run, and its result. */

import type { Adapter } from '../../adapter/adapter.ts';
import type { Metrics } from '../../statistics/measure.ts';
import type { PrefixReport } from '../../train/prefix/split.ts';
import type { SessionProvider, ProviderReport } from '../../runtime/session.ts';
import type { Divergence, TrainEvent } from '../../plugin/events.ts';

/** Result of a run. */
export interface TrainResult<Scores extends Metrics = Metrics> {
  /** The trained adapter, or the best one with `loadBest`. */
  readonly adapter: Adapter;
  /** Steps, including those before resuming. */
  readonly steps: number;
  /** Loss of the last batch. */
  readonly loss: number;
  /** Training time, including that before resuming. */
  readonly seconds: number;
  /** True if `stop()` ended it early. */
  readonly stopped: boolean;
  /** Why it ended. */
  readonly endedBy: 'steps' | 'stop' | 'earlyStopping';
  /** Held-out metrics of this adapter, if `evaluateEvery` measured it. */
  readonly metrics?: Scores;
  /** The best evaluation, if any. */
  readonly best?: { readonly step: number; readonly value: number };
  /**
   * Set if the loss rose far above its start and stayed there: the adapter is useless, unless of an earlier `loadBest`.
   */
  readonly diverged?: Divergence;
  /** Steps skipped for a bad loss. */
  readonly skippedSteps: number;
  /** Distinct examples that could not be loaded. */
  readonly badSamples: number;
}

/** A run in progress. It continues whether or not it is iterated over. */
export interface TrainingRun<Scores extends Metrics = Metrics>
  extends AsyncIterable<TrainEvent<Scores>>, AsyncDisposable {
  /** Maximum number of steps. */
  readonly steps: number;
  /** Steps of the resumed run; 0 for a new one. */
  readonly firstStep: number;
  /** The execution provider. */
  readonly provider: SessionProvider;
  /** Number of trained values. */
  readonly trainableParameters: number;
  /** The cache of frozen layers, or the reason for its absence. */
  readonly prefix: PrefixReport;
  /** The adapter so far. Read it on an event or while paused: within a step, its tensors may be inconsistent. */
  readonly adapter: Adapter;
  /** Resolves when the run ends; rejects with its failure, such as `CANCELLED` ({@link TrainOptions.signal}). */
  readonly done: Promise<TrainResult<Scores>>;
  /**
   * Reports where each operator of a step runs, and why some fall back to the CPU. Profiles the first batch again
   * before the next step.
   * @throws OnnxLoraError `CANCELLED` if the run has ended
   */
  providerReport(): Promise<ProviderReport>;
  /** Pauses after the current step, until {@link TrainingRun.resume}. Resolves once paused or ended. */
  pause(): Promise<void>;
  /** Continues a paused run. */
  resume(): void;
  /** Ends the run after the current step: `done` resolves with the adapter so far. */
  stop(): void;
  /** Stops the run and waits for its end, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}
