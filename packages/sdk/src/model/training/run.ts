/** @file A training run: steps with evaluations and checkpoints between them, until it ends or is stopped. */

import { nextTurn } from '../../platform/pause.ts';
import { residentBytes } from '../../platform/system.ts';
import type { Adapter } from '../../adapter/adapter.ts';
import { OnnxLoraError } from '../../errors.ts';
import { collectArrays } from '../../runtime/garbage.ts';
import type { Batch } from '../../plugin/dataset.ts';
import { evenlySpaced, loadExamples } from '../../tasks/batches.ts';
import type { PrefixReport } from '../../train/prefix/split.ts';
import type { SessionProvider, ProviderReport } from '../../runtime/session.ts';
import { examplesOf, gradientsOf, namesOf } from './batchGradients.ts';
import type { LoadedBatch } from './batchQueue.ts';
import { divergedMessage } from './divergence.ts';
import type { Evaluator } from './evaluator.ts';
import type { Measured } from './measure.ts';
import { EventLog } from './eventLog.ts';
import { exchanged } from './gradientExchange.ts';
import type { Divergence, TrainEvent } from '../../plugin/events.ts';
import { checkpointDefaults } from './options/runOptions.ts';
import { withoutUndefined } from '../../plugin/withoutUndefined.ts';
import { memoryFailure } from './outOfMemory.ts';
import { RunProgress } from './checkpoints/runState.ts';
import { PauseState, ProviderReports } from './betweenSteps.ts';
import type { Compiled } from './phases/compile.ts';
import type { Planned } from './phases/plan.ts';
import type { Prepared } from './phases/prepare.ts';
import type { TrainingRun, TrainResult } from './trainingRun.ts';

type RunParts = Prepared & Planned & Compiled;

/** The last phase of a training: runs the steps. */
export class Run implements TrainingRun {
  readonly steps: number;
  readonly firstStep: number;
  readonly provider: SessionProvider;
  readonly trainableParameters: number;
  readonly prefix: PrefixReport;
  readonly done: Promise<TrainResult>;
  readonly #parts: RunParts;
  readonly #events = new EventLog();
  readonly #progress: RunProgress;
  readonly #badHeldOut = new Set<number>();
  #heldOut: Promise<Batch> | undefined;
  #best: Adapter | undefined;
  #stopped = false;
  #paused: PauseState | undefined;
  readonly #start = performance.now();
  #pausedMs = 0;
  readonly #reports = new ProviderReports();
  #saving: Promise<void> = Promise.resolve();
  #savedStep: number;

  constructor(parts: RunParts) {
    this.#parts = parts;
    this.steps = parts.steps;
    this.provider = parts.provider;
    this.trainableParameters = parts.trainableParameters;
    this.prefix = parts.prefix;
    const { state, best, from: { step } = { step: 0 } } = parts;
    this.firstStep = step;
    this.#savedStep = step;
    this.#progress = new RunProgress(parts.options, { step, steps: parts.steps, state });
    this.#best = best;
    for (const message of parts.warnings) this.#events.add({ type: 'warning', step, message });
    this.done = this.#work();
    // Iterators get the failure; without this it would also be an unhandled rejection.
    this.done.catch(() => undefined);
  }

  get adapter(): Adapter {
    return this.#parts.makeAdapter();
  }

  providerReport(): Promise<ProviderReport> {
    return this.#reports.ask();
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
    const { trainer, evaluator, evaluateEvery, checkpoints, options } = this.#parts;
    const { signal, checkpoints: { every = checkpointDefaults.every } = {} } = options;
    const abort = (): void => this.stop();
    if (signal?.aborted) this.stop();
    signal?.addEventListener('abort', abort, { once: true });
    try {
      while (!this.#isOver) {
        // Between steps: the trainer is not reentrant.
        await this.#reports.answer(this.#parts.reportProvider);
        const lr = await this.#makeStep();
        if (lr !== undefined) await this.#review(lr);
        // The last step may be the best. Before the checkpoint, which stores the result.
        const isLast = this.#step === this.steps;
        // Its graph need not be in memory beside those of the evaluation and the finish.
        if (isLast) await trainer.release();
        if (evaluator && (isLast || this.#step % evaluateEvery! === 0)) await this.#evaluate(evaluator);
        if (this.#step % every === 0) await this.#save();
        // Yields to timers, signals and input if the runtime computes in this thread.
        await nextTurn();
        collectArrays();
        await this.#whilePaused();
      }
      await this.#save();
      await this.#saving;
      if (this.#endedBy === 'stop') throwIfAborted(signal);
      return await this.#result();
    } catch (error) {
      // The run can be resumed from here once the cause is fixed.
      await this.#save().catch(noop);
      await this.#saving;
      throw error;
    } finally {
      signal?.removeEventListener('abort', abort);
      await trainer.release().catch(noop);
      await evaluator?.release().catch(noop);
      checkpoints?.release();
      this.resume();
      this.#reports.end();
      this.#events.end();
    }
  }

  get #step(): number {
    return this.#progress.step;
  }

  get #isOver(): boolean {
    return this.#step >= this.steps || this.#isStopped || this.#progress.objective.isOver;
  }

  get #isStopped(): boolean {
    const { stopAfter = Infinity } = this.#parts.options;
    return this.#stopped || this.#step >= (stopAfter < 1 ? Math.ceil(stopAfter * this.steps) : stopAfter);
  }

  get #endedBy(): TrainResult['endedBy'] {
    if (this.#step >= this.steps) return 'steps';
    return this.#isStopped ? 'stop' : 'earlyStopping';
  }

  get #elapsed(): number {
    return (performance.now() - this.#start - this.#pausedMs) / 1000;
  }

  async #result(): Promise<TrainResult> {
    const { finish } = this.#parts;
    const { divergence, objective, measured, bestMetrics, badExamples, skippedSteps, loss } = this.#progress;
    const adapter = this.#best ?? this.adapter;
    const { best } = objective.state;
    const endedBy = this.#endedBy;
    const metrics = this.#best ? bestMetrics : measured?.step === this.#step ? measured.metrics : undefined;
    return {
      adapter: finish && this.#step > 0 ? await finish(adapter) : adapter,
      steps: this.#step,
      loss,
      seconds: this.#progress.seconds(this.#elapsed),
      stopped: endedBy === 'stop',
      endedBy,
      ...withoutUndefined({ metrics, best, diverged: divergence.state.found }),
      skippedSteps,
      badSamples: badExamples.size,
    };
  }

  /** Runs a step and returns its learning rate; undefined if no parameter changed. */
  async #makeStep(): Promise<number | undefined> {
    const { trainer, queue, rate, data, perBatch, options } = this.#parts;
    const { accumulationSteps } = options;
    const { badLosses } = this.#progress;
    const number = this.#step + 1;
    const batches: LoadedBatch[] = [];
    try {
      while (batches.length < accumulationSteps) batches.push(await queue.next());
      for (const { bad } of batches) this.#tellOfBad(bad, number);
      const lr = badLosses.state.factor * rate(this.#step);
      const gradients = options.exchange
        ? await exchanged(this.#step, batches, trainer, data, options.exchange)
        : await gradientsOf(batches, trainer, data);
      const { loss, gradNorm, overflowed } = await trainer.apply(gradients, lr);
      this.#advance(batches);
      if (overflowed) {
        this.#progress.skippedSteps++;
        const message = `Step ${number}: gradients overflowed float16. Nothing moved, and the loss scale is lower from now on.`;
        this.#events.add({ type: 'skipped', step: number, message, examples: examplesOf(batches), inARow: 1 });
        return undefined;
      }
      badLosses.good();
      this.#progress.loss = loss;
      const pace = this.#elapsed / (this.#step - this.firstStep);
      const perStep = perBatch * accumulationSteps;
      this.#events.add({
        type: 'step',
        step: this.#step,
        steps: this.steps,
        epoch: (this.#step * perStep) / data.train.length,
        loss,
        lr,
        gradNorm,
        samplesPerSecond: perStep / pace,
        secondsLeft: pace * (this.steps - this.#step),
        memory: residentBytes(),
      });
      this.#tellOfDivergence(this.#progress.divergence.step(this.#step, loss));
      return lr;
    } catch (error) {
      const failure = memoryFailure(error, trainer.memoryPlan);
      if (!(failure instanceof OnnxLoraError)) throw failure;
      const named = new OnnxLoraError(failure.code, `Step ${number}: ${failure.message}`, { cause: failure });
      if (failure.code !== 'LOSS_NOT_FINITE') throw named;
      const examples = examplesOf(batches);
      const message = badLosses.bad(named, `The batch held ${namesOf(data.train, examples)}.`);
      this.#progress.skippedSteps++;
      this.#advance(batches);
      this.#events.add({ type: 'skipped', step: number, message, examples, inARow: badLosses.state.inARow });
      return undefined;
    }
  }

  /** Lets tuners try values. If one fails, no checkpoint of the trial is saved. */
  async #review(lr: number): Promise<void> {
    const saved = this.#savedStep;
    this.#savedStep = this.#step;
    await this.#parts.trainer.review(lr, () => (this.#heldOut ??= this.#loadHeldOut()));
    this.#savedStep = saved;
  }

  async #loadHeldOut(): Promise<Batch> {
    const { data, perBatch } = this.#parts;
    const indices = evenlySpaced(data.validation!.length, Math.round(perBatch));
    const loaded = await loadExamples(data.validation!, indices, (...bad) => this.#tellOfHeldOut(...bad));
    return data.collate(loaded.map(({ example }) => example));
  }

  #advance(batches: readonly LoadedBatch[]): void {
    this.#progress.position = batches.at(-1)!.position;
    this.#progress.step++;
  }

  #tellOfBad(bad: LoadedBatch['bad'], step: number): void {
    for (const { example, message } of bad) {
      const { badExamples } = this.#progress;
      if (badExamples.has(example)) continue;
      badExamples.add(example);
      this.#events.add({ type: 'badSample', step, example, message, count: badExamples.size });
    }
  }

  #tellOfHeldOut(example: number, error: unknown): void {
    if (this.#badHeldOut.has(example)) return;
    this.#badHeldOut.add(example);
    const message = `A held-out example is left out: ${error instanceof Error ? error.message : String(error)}`;
    this.#events.add({ type: 'warning', step: this.#step, message });
  }

  #tellOfDivergence(diverged: Divergence | undefined): void {
    if (!diverged) return;
    const message = divergedMessage(diverged, this.#parts.options.lr);
    this.#events.add({ type: 'warning', step: diverged.step, message, diverged });
  }

  async #evaluate(evaluator: Evaluator): Promise<void> {
    const { loadBest } = this.#parts.options;
    const adapter = this.adapter;
    let found: Measured | undefined;
    try {
      found = await evaluator.evaluate(
        adapter,
        () => this.#stopped,
        (example, error) => this.#tellOfHeldOut(example, error),
      );
    } catch (error) {
      throw memoryFailure(error, undefined);
    }
    if (!found) return;
    const best = this.#progress.objective.update(this.#step, found.evaluation.metrics);
    // Only results that the run may end with get intervals, which are costly.
    const isKept = this.#isOver || (best && loadBest);
    const evaluation = isKept ? found.withIntervals() : found.evaluation;
    this.#progress.measured = { step: this.#step, metrics: evaluation.metrics };
    if (best && loadBest) {
      this.#best = adapter;
      this.#progress.bestMetrics = evaluation.metrics;
    }
    this.#events.add({ type: 'evaluation', step: this.#step, ...evaluation, best });
    this.#tellOfDivergence(this.#progress.divergence.measured(this.#step, evaluation.metrics['loss']));
  }

  /** Copies the state and writes it in the background. A failed checkpoint does not end the run. */
  async #save(): Promise<void> {
    const { checkpoints, trainer, identity, versions } = this.#parts;
    const step = this.#step;
    if (!checkpoints || step === this.#savedStep) return;
    await this.#saving;
    const { tensors, json } = await trainer.state();
    const state = {
      ...this.#progress.state(this.#elapsed, json),
      ...withoutUndefined({ precision: this.#parts.precision }),
    };
    const saving = checkpoints.save({
      step,
      identity,
      adapter: this.adapter,
      tensors,
      state,
      best: this.#best,
      versions,
    });
    this.#savedStep = step;
    this.#saving = saving.then(
      (folder) => this.#events.add({ type: 'checkpoint', step, folder }),
      (error: Error) => {
        this.#savedStep = this.firstStep;
        const message = `The checkpoint of step ${step} is not written, and the training continues: ${error.message} Earlier checkpoints are unchanged.`;
        this.#events.add({ type: 'warning', step, message });
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
}

/** @throws OnnxLoraError `CANCELLED` with the signal's reason as cause */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (!signal?.aborted) return;
  throw new OnnxLoraError('CANCELLED', 'The training was cancelled by its signal.', { cause: signal.reason });
}

function noop(): void {}
