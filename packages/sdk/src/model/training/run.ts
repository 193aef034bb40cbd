/** @file A training run: step after step, with evaluations and checkpoints in between, until it is over or stopped. */

import { setImmediate } from 'node:timers/promises';
import type { Adapter } from '../../adapter/adapter.ts';
import { OnnxLoraError } from '../../errors.ts';
import type { Metrics } from '../../plugin/dataset.ts';
import type { PreparedTask } from '../../plugin/preparedTask.ts';
import type { SamplerState } from '../../train/sampling/sampler.ts';
import type { LossAndGradients } from '../../train/step/lossAndGradients.ts';
import { wrongRow } from '../../train/graph/expected.ts';
import { GradientMean } from '../../train/step/gradientMean.ts';
import type { PrefixReport } from '../../train/prefix/prefixOptions.ts';
import type { Trainer } from '../../train/trainer.ts';
import type { ConcreteProvider, ProviderReport } from '../../runtime/session.ts';
import type { BadLosses } from './badLoss.ts';
import type { BatchQueue, LoadedBatch } from './batchQueue.ts';
import type { RunIdentity } from './checkpoints/checkpoint.ts';
import type { CheckpointFolder } from './checkpoints/checkpointFolder.ts';
import type { Evaluator } from './evaluator.ts';
import type { MeasuredOnce } from './measure.ts';
import { EventLog } from './eventLog.ts';
import type { TrainEvent } from '../../plugin/events.ts';
import { namesOf } from './exampleNames.ts';
import type { Objective } from './objective.ts';
import { isOutOfMemory, outOfMemory } from './outOfMemory.ts';
import { metricsFrom, type RunState, savedMetrics } from './checkpoints/runState.ts';
import type { TrainingRun, TrainResult } from './trainingRun.ts';

/** What a run is made of. */
export interface RunParts {
  readonly trainer: Trainer;
  readonly data: PreparedTask;
  readonly queue: BatchQueue;
  /** Batches of one step. */
  readonly accumulation: number;
  /** Examples in a batch, on average. */
  readonly batchSize: number;
  readonly steps: number;
  /** The learning rate of a step, counted from 0. */
  readonly rate: (step: number) => number;
  readonly badLosses: BadLosses;
  readonly objective: Objective;
  /** Undefined where nothing is measured during the run. */
  readonly evaluator: Evaluator | undefined;
  /** Steps from one evaluation to the next. */
  readonly evaluateEvery: number;
  readonly loadBest: boolean;
  readonly checkpoints: CheckpointFolder | undefined;
  /** Steps from one checkpoint to the next. */
  readonly checkpointEvery: number;
  readonly identity: RunIdentity;
  readonly versions: Readonly<Record<string, string>>;
  readonly signal: AbortSignal | undefined;
  readonly provider: ConcreteProvider;
  readonly trainableParameters: number;
  readonly prefix: PrefixReport;
  readonly makeAdapter: () => Adapter;
  /** Adds what is learned from the finished adapter. */
  readonly finish?: (adapter: Adapter) => Promise<Adapter>;
  readonly reportProvider: () => Promise<ProviderReport>;
  /** Where a run that goes on begins. */
  readonly from?: { readonly step: number; readonly state: RunState; readonly best: Adapter | undefined } | undefined;
  /** What there is to say before the first step. */
  readonly warnings: readonly string[];
}

/** Makes the steps. */
export class Run implements TrainingRun {
  readonly steps: number;
  readonly firstStep: number;
  readonly provider: ConcreteProvider;
  readonly trainableParameters: number;
  readonly prefix: PrefixReport;
  readonly done: Promise<TrainResult>;
  readonly #parts: RunParts;
  readonly #events = new EventLog();
  readonly #badExamples: Set<number>;
  /** Held-out examples that could not be loaded, each told of once. */
  readonly #badHeldOut = new Set<number>();
  #step: number;
  #loss: number;
  #skippedSteps: number;
  #position: SamplerState | null;
  #best: Adapter | undefined;
  /** What was measured last, and at which step; and of the best. */
  #measured: { readonly step: number; readonly metrics: Metrics } | undefined;
  #bestMetrics: Metrics | undefined;
  #stopped = false;
  #paused: PauseState | undefined;
  /** Seconds that earlier parts of the run took. */
  readonly #secondsBefore: number;
  readonly #start = performance.now();
  /** Time that was spent paused. */
  #pausedMs = 0;
  /** Who waits for a report of the provider. */
  #asked: { resolve: (report: Promise<ProviderReport>) => void; reject: (error: Error) => void }[] = [];
  #hasEnded = false;
  #saving: Promise<void> = Promise.resolve();
  #savedStep: number;

  constructor(parts: RunParts) {
    this.#parts = parts;
    this.steps = parts.steps;
    this.provider = parts.provider;
    this.trainableParameters = parts.trainableParameters;
    this.prefix = parts.prefix;
    const { step = 0, state, best } = parts.from ?? {};
    this.firstStep = step;
    this.#step = step;
    this.#savedStep = step;
    this.#loss = state?.loss ?? NaN;
    this.#skippedSteps = state?.skippedSteps ?? 0;
    this.#position = state?.position ?? null;
    this.#badExamples = new Set(state?.badExamples);
    this.#secondsBefore = state?.seconds ?? 0;
    this.#best = best;
    if (state?.measured) this.#measured = { ...state.measured, metrics: metricsFrom(state.measured.metrics) };
    if (state?.bestMetrics) this.#bestMetrics = metricsFrom(state.bestMetrics);
    for (const message of parts.warnings) this.#emit({ type: 'warning', step, message });
    this.done = this.#work();
    // Who iterates gets the failure from the iterator; without this it would also count as unhandled.
    this.done.catch(() => undefined);
  }

  get adapter(): Adapter {
    return this.#parts.makeAdapter();
  }

  providerReport(): Promise<ProviderReport> {
    if (this.#hasEnded) return Promise.reject(hasEnded());
    return new Promise((resolve, reject) => this.#asked.push({ resolve, reject }));
  }

  stop(): void {
    this.#stopped = true;
    this.resume();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.stop();
    await this.done.then(noop, noop);
  }

  pause(): Promise<void> {
    this.#paused ??= new PauseState();
    return Promise.race([this.#paused.reached, this.done.then(noop, noop)]);
  }

  resume(): void {
    this.#paused?.end();
    this.#paused = undefined;
  }

  async *[Symbol.asyncIterator](): AsyncIterator<TrainEvent> {
    yield* this.#events;
    await this.done;
  }

  async #work(): Promise<TrainResult> {
    const { trainer, evaluator, signal } = this.#parts;
    const abort = (): void => this.stop();
    if (signal?.aborted) this.stop();
    signal?.addEventListener('abort', abort, { once: true });
    try {
      while (!this.#isOver) {
        // In between, since no two things may use the trainer at a time.
        await this.#answer();
        await this.#makeStep();
        // What comes after the last regular evaluation may be the best. Before the checkpoint, which keeps what it found.
        const isLast = this.#step === this.steps;
        if (evaluator && (isLast || this.#step % this.#parts.evaluateEvery === 0)) await this.#evaluate(evaluator);
        if (this.#step % this.#parts.checkpointEvery === 0) await this.#save();
        // Timers, signals and input get their turn also where the runtime computes in this thread.
        await setImmediate();
        await this.#whilePaused();
      }
      await this.#save();
      await this.#saving;
      if (this.#endedBy === 'stop') throwIfAborted(signal);
      return await this.#result();
    } catch (error) {
      // What was reached before is not lost, and the run can go on from there once the cause is mended.
      await this.#save().catch(noop);
      await this.#saving;
      throw error;
    } finally {
      signal?.removeEventListener('abort', abort);
      await trainer.release().catch(noop);
      await evaluator?.release().catch(noop);
      this.#parts.checkpoints?.release();
      this.resume();
      this.#hasEnded = true;
      for (const { reject } of this.#asked) reject(hasEnded());
      this.#events.end();
    }
  }

  async #answer(): Promise<void> {
    const asked = this.#asked;
    if (asked.length === 0) return;
    this.#asked = [];
    const report = this.#parts.reportProvider();
    for (const { resolve } of asked) resolve(report);
    await report.catch(noop);
  }

  get #isOver(): boolean {
    return this.#step >= this.steps || this.#stopped || this.#parts.objective.isOver;
  }

  get #endedBy(): TrainResult['endedBy'] {
    if (this.#step >= this.steps) return 'steps';
    return this.#stopped ? 'stop' : 'earlyStopping';
  }

  get #elapsed(): number {
    return (performance.now() - this.#start - this.#pausedMs) / 1000;
  }

  async #result(): Promise<TrainResult> {
    const { objective, loadBest, finish } = this.#parts;
    const adapter = (loadBest && this.#best) || this.adapter;
    const { best } = objective.state;
    const endedBy = this.#endedBy;
    const metrics = loadBest && this.#best ? this.#bestMetrics : this.#measured?.step === this.#step ? this.#measured.metrics : undefined; // prettier-ignore
    return {
      adapter: finish && this.#step > 0 ? await finish(adapter) : adapter,
      steps: this.#step,
      loss: this.#loss,
      seconds: this.#secondsBefore + this.#elapsed,
      stopped: endedBy === 'stop',
      endedBy,
      ...(metrics ? { metrics } : {}),
      ...(best ? { best } : {}),
      skippedSteps: this.#skippedSteps,
      badSamples: this.#badExamples.size,
    };
  }

  async #makeStep(): Promise<void> {
    const { trainer, queue, accumulation, rate, badLosses, data, batchSize } = this.#parts;
    const number = this.#step + 1;
    const batches: LoadedBatch[] = [];
    try {
      while (batches.length < accumulation) batches.push(await queue.next());
      for (const { bad } of batches) this.#tellOfBad(bad, number);
      const lr = badLosses.state.factor * rate(this.#step);
      const { loss, gradNorm, overflowed } = await trainer.apply(await this.#gradients(batches), lr);
      this.#advance(batches);
      if (overflowed) {
        this.#skippedSteps++;
        const message = `Step ${number}: gradients overflowed float16. Nothing moved, and the loss scale is lower from now on.`;
        this.#emit({ type: 'skipped', step: number, message, examples: examplesOf(batches), inARow: 1 });
        return;
      }
      badLosses.good();
      this.#loss = loss;
      const pace = this.#elapsed / (this.#step - this.firstStep);
      const perStep = batchSize * accumulation;
      this.#emit({
        type: 'step',
        step: this.#step,
        steps: this.steps,
        epoch: (this.#step * perStep) / data.train.length,
        loss,
        lr,
        gradNorm,
        samplesPerSecond: perStep / pace,
        secondsLeft: pace * (this.steps - this.#step),
        memory: process.memoryUsage.rss(),
      });
    } catch (error) {
      const failure = isOutOfMemory(error) ? outOfMemory(error, trainer.memoryPlan) : error;
      if (!(failure instanceof OnnxLoraError)) throw failure;
      const named = new OnnxLoraError(failure.code, `Step ${number}: ${failure.message}`, { cause: failure });
      if (failure.code !== 'LOSS_NOT_FINITE') throw named;
      const examples = examplesOf(batches);
      const message = badLosses.bad(named, `The batch held ${namesOf(data.train, examples)}.`);
      this.#skippedSteps++;
      this.#advance(batches);
      this.#emit({ type: 'skipped', step: number, message, examples, inARow: badLosses.state.inARow });
    }
  }

  async #gradients(batches: readonly LoadedBatch[]): Promise<LossAndGradients> {
    const { trainer, data } = this.#parts;
    const [first] = batches;
    const of = async ({ inputs, targets, rows }: LoadedBatch): Promise<LossAndGradients> => {
      try {
        return await trainer.lossAndGradients(inputs, targets, rows);
      } catch (error) {
        const row = wrongRow(error);
        if (row === undefined || !(error instanceof OnnxLoraError)) throw error;
        const message = `${error.message} It is that of ${namesOf(data.train, [rows[row]!])}.`;
        throw new OnnxLoraError(error.code, message, { cause: error });
      }
    };
    if (batches.length === 1) return of(first!);
    const mean = new GradientMean();
    for (const batch of batches) await mean.add(await of(batch));
    return mean.value();
  }

  #advance(batches: readonly LoadedBatch[]): void {
    this.#position = batches.at(-1)!.position;
    this.#step++;
  }

  #tellOfBad(bad: LoadedBatch['bad'], step: number): void {
    for (const { example, message } of bad) {
      if (this.#badExamples.has(example)) continue;
      this.#badExamples.add(example);
      this.#emit({ type: 'badSample', step, example, message, count: this.#badExamples.size });
    }
  }

  #tellOfHeldOut(example: number, error: unknown): void {
    if (this.#badHeldOut.has(example)) return;
    this.#badHeldOut.add(example);
    const message = `A held-out example is left out: ${error instanceof Error ? error.message : String(error)}`;
    this.#emit({ type: 'warning', step: this.#step, message });
  }

  async #evaluate(evaluator: Evaluator): Promise<void> {
    const { objective, loadBest } = this.#parts;
    const adapter = this.adapter;
    let found: MeasuredOnce | undefined;
    try {
      found = await evaluator.evaluate(
        adapter,
        () => this.#stopped,
        (example, error) => this.#tellOfHeldOut(example, error),
      );
    } catch (error) {
      throw isOutOfMemory(error) ? outOfMemory(error, undefined) : error;
    }
    if (!found) return;
    const best = objective.update(this.#step, found.evaluation.metrics);
    // Of what the run may end with, for that is not measured again.
    const isKept = this.#isOver || (best && loadBest);
    const evaluation = isKept ? found.withIntervals() : found.evaluation;
    this.#measured = { step: this.#step, metrics: evaluation.metrics };
    if (best && loadBest) {
      this.#best = adapter;
      this.#bestMetrics = evaluation.metrics;
    }
    this.#emit({ type: 'evaluation', step: this.#step, ...evaluation, best });
  }

  /** Copies the state, and writes it while the run goes on. A checkpoint that cannot be written does not end the run. */
  async #save(): Promise<void> {
    const { checkpoints, trainer, identity, versions, loadBest } = this.#parts;
    const step = this.#step;
    if (!checkpoints || step === this.#savedStep) return;
    await this.#saving;
    const { tensors, json } = await trainer.state();
    const state: RunState = {
      position: this.#position,
      loss: Number.isFinite(this.#loss) ? this.#loss : null,
      seconds: this.#secondsBefore + this.#elapsed,
      skippedSteps: this.#skippedSteps,
      badExamples: [...this.#badExamples],
      badLosses: this.#parts.badLosses.state,
      objective: this.#parts.objective.state,
      ...(this.#measured && { measured: { ...this.#measured, metrics: savedMetrics(this.#measured.metrics) } }),
      ...(this.#bestMetrics && { bestMetrics: savedMetrics(this.#bestMetrics) }),
      trainer: json,
    };
    const best = loadBest ? this.#best : undefined;
    const saving = checkpoints.save({ step, identity, adapter: this.adapter, tensors, state, best, versions });
    this.#savedStep = step;
    this.#saving = saving.then(
      (folder) => this.#emit({ type: 'checkpoint', step, folder }),
      (error: Error) => {
        this.#savedStep = this.firstStep;
        const message = `The checkpoint of step ${step} is not written, and the training goes on: ${error.message} Earlier checkpoints are as they were.`;
        this.#emit({ type: 'warning', step, message });
      },
    );
  }

  async #whilePaused(): Promise<void> {
    const paused = this.#paused;
    if (!paused) return;
    await this.#saving;
    const since = performance.now();
    paused.arrived();
    await paused.over;
    this.#pausedMs += performance.now() - since;
  }

  #emit(event: TrainEvent): void {
    this.#events.add(event);
  }
}

/** @throws OnnxLoraError `CANCELLED`, whose cause is the signal's reason */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (!signal?.aborted) return;
  throw new OnnxLoraError('CANCELLED', 'The training was cancelled by its signal.', { cause: signal.reason });
}

function hasEnded(): OnnxLoraError {
  return new OnnxLoraError(
    'CANCELLED',
    'The run has ended, so there is no provider to report. Ask before its last step.',
  );
}

function examplesOf(batches: readonly LoadedBatch[]): number[] {
  return batches.flatMap(({ examples }) => examples);
}

/** One pause: asked for, reached, over. */
class PauseState {
  readonly reached: Promise<void>;
  readonly over: Promise<void>;
  #reach: () => void = noop;
  #finish: () => void = noop;
  #timer: NodeJS.Timeout | undefined;

  constructor() {
    this.reached = new Promise((resolve) => (this.#reach = resolve));
    this.over = new Promise((resolve) => (this.#finish = resolve));
  }

  /** The run holds. A timer keeps the process alive, which would otherwise end where nothing else happens in it. */
  arrived(): void {
    this.#timer = setInterval(noop, 2 ** 30);
    this.#reach();
  }

  end(): void {
    clearInterval(this.#timer);
    this.#finish();
  }
}

function noop(): void {}
