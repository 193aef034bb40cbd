/** @file Runs a sweep's trials concurrently, within time and memory, and journals them. */

import { rm } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { withoutUndefined } from '@onnx-lora/sdk/data';
import type { RequestedPlugin } from '../plugins/loadNamed.ts';
import { RunFolder } from '../run/runFolder.ts';
import type { TrainSummary } from '../run/trainRun.ts';
import { notMeasured, withoutMetric } from './checking.ts';
import { folderOf, type SweepPlan } from './configurations.ts';
import { type Choosing, nextTasks, type Task } from './halving.ts';
import type { Journal, TrialRecord } from './journal.ts';
import type { SweepOptions } from '../settings/sweep.ts';
import type { Launch, RunningTrial } from './trialProcess.ts';
import type { TrialMessage } from './trialProgram.ts';

export interface TrialsRequest extends Omit<Choosing, 'journal'> {
  readonly plan: SweepPlan;
  readonly journal: Journal;
  readonly options: Pick<SweepOptions, 'parallel' | 'minutes' | 'memory'>;
  readonly out: string;
  readonly plugins: readonly RequestedPlugin[];
  readonly launch: Launch;
  /** Threads of a trial; by default `parallel` trials share the processors. */
  readonly threads?: number | undefined;
  readonly onChange?: () => void;
}

export interface RunningTrials {
  readonly task: Task;
  /** Start, in milliseconds of `performance.now()`: the first sign of life, as a cluster may let it wait. */
  since: number;
  step: number;
  steps: number | undefined;
  loss: number | undefined;
  /** Memory of its process in bytes. */
  memory: number;
}

export type Ending = 'done' | 'time' | 'stopped';

/** Crashes after which a trial has failed. */
const CRASHES = 2;
const MEGABYTE = 2 ** 20;
/** Milliseconds for the last step of a stopped trial. */
const LAST_STEP = 120_000;

export class TrialRunner {
  readonly underway: Map<string, RunningTrials> = new Map();
  readonly #request: TrialsRequest;
  readonly #running = new Map<string, { readonly trial: RunningTrial; readonly over: Promise<void> }>();
  #ending: Ending | undefined;
  #failure: Error | undefined;

  constructor(request: TrialsRequest) {
    this.#request = request;
  }

  /** Resolves when all is done, or running trials have ended after a stop. */
  async run(): Promise<Ending> {
    const { options, journal } = this.#request;
    const left = options.minutes === undefined ? undefined : options.minutes * 60 - journal.seconds;
    const timer = left === undefined ? undefined : setTimeout(() => this.stop('time'), Math.min(2 ** 31 - 1, Math.max(0, left * 1000))); // prettier-ignore
    try {
      if (left !== undefined && left <= 0) this.stop('time');
      for (;;) {
        while (!this.#ending && this.#running.size < options.parallel) {
          const task = this.#next();
          if (!task) break;
          this.#begin(task);
        }
        if (this.#running.size === 0) break;
        await Promise.race([...this.#running.values()].map(({ over }) => over));
      }
    } finally {
      clearTimeout(timer);
      await journal.write();
    }
    if (this.#failure) throw this.#failure;
    return this.#ending ?? 'done';
  }

  /** Starts no more trials; running ones save and end. */
  stop(why: Ending): void {
    this.#ending ??= why;
    for (const { trial } of this.#running.values()) {
      trial.stop();
      // A hanging trial would block the rest.
      setTimeout(() => trial.kill(), LAST_STEP).unref();
    }
  }

  kill(): void {
    for (const { trial } of this.#running.values()) trial.kill();
  }

  /** The next trial, once there is memory for it. */
  #next(): Task | undefined {
    const { plan, options, journal } = this.#request;
    const task = nextTasks(plan, this.#request).find(({ trial }) => !this.#running.has(trial.id));
    if (!task || options.memory === undefined || this.#running.size === 0) return task;
    const known = plan.configurations.flatMap(({ trials }) => trials.map(({ id }) => journal.get(id)?.memory ?? 0));
    const most = Math.max(0, ...known);
    // Memory is unknown before the first trial ends.
    if (most === 0) return undefined;
    return (this.#running.size + 1) * most <= options.memory * MEGABYTE ? task : undefined;
  }

  #begin(task: Task): void {
    const { configuration, trial, part } = task;
    const { out, plugins, launch, options, metric, threads, onChange } = this.#request;
    const folder = path.join(out, 'trials', folderOf(configuration, trial));
    const now: RunningTrials = {
      task,
      since: performance.now(),
      step: 0,
      steps: undefined,
      loss: undefined,
      memory: 0,
    };
    this.underway.set(trial.id, now);
    const shared =
      options.parallel > 1 ? Math.max(1, Math.floor(availableParallelism() / options.parallel)) : undefined;
    const settings = {
      ...withoutUndefined({ threads: threads ?? shared }),
      ...(metric.isFinal === true ? withoutMetric(trial.settings) : trial.settings),
      out: folder,
    };
    let last: Extract<TrialMessage, { type: 'ended' | 'failed' }> | undefined;
    let isAlive = false;
    const running = launch({ settings, plugins, ...(part < 1 ? { stopAfter: part } : {}) }, (message) => {
      if (!isAlive) now.since = performance.now();
      isAlive = true;
      if (message.type === 'step') Object.assign(now, { step: message.step, steps: message.steps, loss: message.loss });
      else if (message.type === 'alive') {
        now.memory = message.memory;
        if (options.memory !== undefined && message.memory > options.memory * MEGABYTE) {
          last = { type: 'failed', code: 'OUT_OF_MEMORY', message: `It held ${Math.ceil(message.memory / MEGABYTE)} MB, and sweep.memory allows ${options.memory}.` }; // prettier-ignore
          running.kill();
        }
      } else last ??= message;
      onChange?.();
    });
    const over = this.#request.journal
      .note(trial.id, { status: 'begun' })
      .then(() => running.ended)
      .then(async ({ signal, code, stderr }) => {
        const wall = (performance.now() - now.since) / 1000;
        await this.#ended(task, { last, folder, wall, crash: signal ?? `exit code ${code}`, stderr });
      })
      // A full disk ends the sweep, since results would be lost.
      .catch((error: Error) => {
        this.#failure ??= error;
        this.stop('stopped');
      })
      .finally(() => {
        this.#running.delete(trial.id);
        this.underway.delete(trial.id);
        onChange?.();
      });
    this.#running.set(trial.id, { trial: running, over });
  }

  async #ended(
    { trial, part, configuration }: Task,
    { last, folder, wall, crash, stderr }: Ended, // prettier-ignore
  ): Promise<void> {
    const { journal } = this.#request;
    const before = journal.get(trial.id)!;
    const spent = { wall: before.wall + wall };
    if (last?.type === 'failed') {
      const { code, message } = last;
      return journal.note(trial.id, { ...spent, status: 'failed', failure: { code, message } });
    }
    if (!last) {
      if (this.#ending) return journal.note(trial.id, spent);
      const crashes = before.crashes + 1;
      const told = stderr.trim().split('\n').at(-1) ?? '';
      const message = `Its process ended by ${crash}, ${crashes} times${told === '' ? '' : `: ${told}`}. Where the system ended it for want of memory, set sweep.memory or fewer at a time.`;
      return journal.note(trial.id, {
        ...spent,
        crashes,
        ...(crashes < CRASHES ? {} : { status: 'failed', failure: { code: 'CRASHED', message } }),
      });
    }
    const { summary, memory, bytes, trainedOn } = last;
    const isPaused = summary.endedBy === 'stop' && part < 1;
    await journal.note(trial.id, {
      ...spent,
      ...outcomeOf(summary, before, part),
      status: isPaused ? 'paused' : 'done',
      bytes,
      memory: Math.max(memory, before.memory ?? 0),
      ...withoutUndefined({ trainedOn }),
    });
    const names = Object.keys(summary.after ?? {});
    const { metric } = this.#request;
    // Further trials would have nothing to compare.
    if (names.length > 0 && !names.includes(metric.name)) throw notMeasured(metric.name, names);
    // Checkpoints take several times the adapter's space.
    const { keepCheckpoints = 1 } = configuration.trials[0]!.settings;
    if (!isPaused && keepCheckpoints === 1)
      await rm(new RunFolder(folder).checkpoints, { recursive: true, force: true });
  }
}

interface Ended {
  readonly last: Extract<TrialMessage, { type: 'ended' | 'failed' }> | undefined;
  readonly folder: string;
  readonly wall: number;
  readonly crash: string;
  readonly stderr: string;
}

function outcomeOf(summary: TrainSummary, before: TrialRecord, part: number): Partial<TrialRecord> {
  const { steps, after, intervals, seconds, trainableParameters, examples } = summary;
  const measured = { part, step: steps, metrics: after ?? {}, ...withoutUndefined({ intervals }) };
  return {
    measured: [...before.measured.filter((each) => each.part !== part), measured],
    ...(summary.before ? { before: { ...summary.before } } : {}),
    seconds,
    parameters: trainableParameters,
    examples,
  };
}
