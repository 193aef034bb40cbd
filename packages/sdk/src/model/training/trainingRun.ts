/** @file A training run as its user sees it: what it can be told, and what it ends with. */

import type { Adapter } from '../../adapter/adapter.ts';
import type { Metrics } from '../../statistics/measure.ts';
import type { PrefixReport } from '../../train/prefix/prefixOptions.ts';
import type { ConcreteProvider, ProviderReport } from '../../runtime/session.ts';
import type { Divergence, TrainEvent } from '../../plugin/events.ts';

/** What a run ends with. */
export interface TrainResult<Scores extends Metrics = Metrics> {
  /** The adapter as trained, or the best one with `loadBest`. */
  readonly adapter: Adapter;
  /** Steps made, those before a resumption included. */
  readonly steps: number;
  /** Loss of the last step's batch. */
  readonly loss: number;
  /** How long it has trained, times before a resumption included. */
  readonly seconds: number;
  /** True when `stop()` ended it early. */
  readonly stopped: boolean;
  /** Why it ended. */
  readonly endedBy: 'steps' | 'stop' | 'earlyStopping';
  /** What was measured of this adapter on held-out data during the run; absent where nothing was (`evaluateEvery`). */
  readonly metrics?: Scores;
  /** The best evaluation, where there were any. */
  readonly best?: { readonly step: number; readonly value: number };
  /** Where the loss has risen far above its start and not come down again: the adapter is of no use, unless `loadBest` gives an earlier one. */
  readonly diverged?: Divergence;
  /** Steps that were skipped for a bad loss. */
  readonly skippedSteps: number;
  /** Examples that could not be loaded, each counted once. */
  readonly badSamples: number;
}

/** A run under way. It goes on whether or not anybody iterates over it. */
export interface TrainingRun<Scores extends Metrics = Metrics>
  extends AsyncIterable<TrainEvent<Scores>>, AsyncDisposable {
  /** Steps that it will make at most. */
  readonly steps: number;
  /** Steps made before, by the run that this one goes on with; 0 for a new one. */
  readonly firstStep: number;
  /** Where it runs. */
  readonly provider: ConcreteProvider;
  /** How many numbers are trained. */
  readonly trainableParameters: number;
  /** What it keeps of the layers below the lowest trained one, or why it keeps nothing. */
  readonly prefix: PrefixReport;
  /**
   * The adapter as trained so far. Read it when an event has come, or while the run is paused: in the middle of a step some
   * of its tensors may have moved and others not yet.
   */
  readonly adapter: Adapter;
  /**
   * Settles when the run ends; rejects with what ended it, also with `CANCELLED` where its signal did ({@link TrainOptions.signal}).
   */
  readonly done: Promise<TrainResult<Scores>>;
  /**
   * Where each operator of a step runs, and why those that are left to the CPU are. It profiles the run's first batch once
   * more, before the next step.
   *
   * @throws OnnxLoraError `CANCELLED` when the run has ended
   */
  providerReport(): Promise<ProviderReport>;
  /** Holds the run after the step under way, until {@link TrainingRun.resume}. Resolves once it holds, or has ended. */
  pause(): Promise<void>;
  /** Lets a paused run go on. */
  resume(): void;
  /** Ends the run after the step under way: `done` resolves with the adapter as trained so far. */
  stop(): void;
  /** Stops the run and waits for its end, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}
