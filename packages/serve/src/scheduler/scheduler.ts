/** @file The batch scheduler: queues, refuses, batches and cancels requests. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { cellsOf, GrowingBatch } from './batch.ts';
import { FairQueue, type Load, type Waiting } from './fairQueue.ts';
import type { Compute, Job, Scheduler } from './job.ts';
import { type Clock, type QueueLimits, type SchedulerOptions, systemClock } from './options.ts';
import { OverloadedError, type OverloadReason } from './overloaded.ts';
import { BatchTimes } from './times.ts';

/** Assumed milliseconds per position before measurement: enough for fairness, too little to refuse anyone. */
const UNKNOWN = 1e-6;
/** Lead of newly active tenants in milliseconds: an occasional burst goes before a constant load. */
const LEAD = 500;

/** A scheduler with its load. */
export interface BatchScheduler<Work, Answer> extends Scheduler<Work, Answer> {
  /** Queued load. */
  readonly waiting: Load;
  /** Queued load of a tenant. */
  waitingOf(tenant: string): Load;
  /** Number of running batches. */
  readonly computing: number;
  /** Expected wait of a tenant's request in milliseconds. */
  wait(tenant: string): number;
  /** Throws if any request of this tenant would be refused, before it is read. @throws OverloadedError */
  requireRoom(tenant: string): void;
}

/**
 * Creates a scheduler. Requests wait only while others compute, and then form the next batch, so that batches grow with
 * the load and no timer delays them. Tenants share compute time by weighted fair queueing. The queue is bounded by an
 * `OverloadedError`.
 */
export function createScheduler<Work, Answer>(
  compute: Compute<Work, Answer>,
  options: SchedulerOptions = {},
): BatchScheduler<Work, Answer> {
  return new Batches(compute, options);
}

type Asking = Pick<Job, 'tenant' | 'rows' | 'length' | 'bytes' | 'deadline'>;

interface Entry<Work, Answer> extends Waiting {
  readonly job: Job<Work>;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: Error) => void;
  readonly forget: () => void;
  isDone: boolean;
  batch?: Running<Work, Answer>;
}

interface Running<Work, Answer> {
  readonly entries: readonly Entry<Work, Answer>[];
  readonly gone: AbortController;
  readonly end: number;
}

class Batches<Work, Answer> implements BatchScheduler<Work, Answer> {
  readonly #compute: Compute<Work, Answer>;
  readonly #options: SchedulerOptions & Required<QueueLimits>;
  readonly #clock: Clock;
  readonly #queue: FairQueue<Entry<Work, Answer>>;
  readonly #times = new BatchTimes();
  readonly #running = new Set<Running<Work, Answer>>();
  #willStart = false;
  #isDraining = false;
  #whenIdle: (() => void)[] = [];

  constructor(compute: Compute<Work, Answer>, options: SchedulerOptions) {
    this.#compute = compute;
    this.#options = { maxWaitingRows: 1024, maxWaitingBytes: 256 * 2 ** 20, maxWait: 10_000, ...options };
    this.#clock = options.clock ?? systemClock;
    this.#queue = new FairQueue((like) => this.#price(like), options.weightOf, LEAD);
  }

  get waiting(): Load {
    return this.#queue.load;
  }

  waitingOf(tenant: string): Load {
    return this.#queue.loadOf(tenant);
  }

  get computing(): number {
    return this.#running.size;
  }

  wait(tenant: string, cost: number = 0): number {
    const now = this.#clock.now();
    const left = [...this.#running].reduce((sum, { end }) => sum + Math.max(0, end - now), 0);
    return (left + this.#queue.ahead(tenant, cost)) / this.#concurrency;
  }

  submit(job: Job<Work>): Promise<Answer> {
    const gone = this.#goneBy(job);
    if (gone) return Promise.reject(gone);
    const cells = cellsOf(job);
    const { like = job.key } = job;
    const cost = cells * this.#price(like);
    const refused = this.#refused(job, cost);
    if (refused) return Promise.reject(refused);
    const { tenant, priority, rows, bytes = 0, deadline, signal } = job;
    return new Promise((resolve, reject) => {
      const since = this.#clock.now();
      const forget = (): void => {
        signal?.removeEventListener('abort', leave);
        stopTimer?.();
      };
      const places = { tenant, priority, since, like, cells, rows, bytes };
      const entry: Entry<Work, Answer> = { ...places, job, resolve, reject, forget, isDone: false };
      const leave = (): void => this.#leave(entry, this.#goneBy(job) ?? timedOut());
      signal?.addEventListener('abort', leave, { once: true });
      const stopTimer = deadline === undefined ? undefined : this.#clock.after(deadline - since, leave);
      this.#queue.add(entry);
      this.#startSoon();
    });
  }

  requireRoom(tenant: string): void {
    const refused = this.#refused({ tenant, rows: 1, length: 0 }, 0);
    if (refused) throw refused;
  }

  async drain(signal?: AbortSignal): Promise<void> {
    this.#isDraining = true;
    const giveUp = (): void => {
      const left = [...this.#queue, ...[...this.#running].flatMap(({ entries }) => entries)];
      for (const entry of left) this.#leave(entry, cancelled('The server has stopped.', signal?.reason));
    };
    if (signal?.aborted) giveUp();
    signal?.addEventListener('abort', giveUp, { once: true });
    if (!this.#isIdle) await new Promise<void>((resolve) => this.#whenIdle.push(resolve));
    signal?.removeEventListener('abort', giveUp);
  }

  get #concurrency(): number {
    return this.#options.concurrency ?? 1;
  }

  get #isIdle(): boolean {
    return this.#running.size === 0 && this.#queue.load.jobs === 0;
  }

  #price(like: string): number {
    return this.#times.perCell(like) ?? UNKNOWN;
  }

  #refused(job: Asking, cost: number): OverloadedError | undefined {
    const reason = this.#refusal(job, cost);
    if (!reason) return undefined;
    this.#options.observer?.refused?.(reason);
    return new OverloadedError(reason, this.wait(job.tenant, cost));
  }

  #refusal(job: Asking, cost: number): OverloadReason | undefined {
    if (this.#isDraining) return 'draining';
    const { maxWaitingRows, maxWaitingBytes, maxWait } = this.#options;
    const [all, own] = [this.#queue.load, this.#queue.loadOf(job.tenant)];
    const isOver = (its: number, more: number, whole: number, most: number): boolean =>
      whole > 0 && its + more > most - whole;
    if (isOver(own.rows, job.rows, all.rows, maxWaitingRows)) return 'queue';
    if (isOver(own.bytes, job.bytes ?? 0, all.bytes, maxWaitingBytes)) return 'queue';
    if (this.#options.refuses?.(job, this.#isIdle)) return 'memory';
    const wait = this.wait(job.tenant, cost);
    if (wait > maxWait) return 'wait';
    return job.deadline !== undefined && this.#clock.now() + wait > job.deadline ? 'deadline' : undefined;
  }

  #goneBy({ signal, deadline = Infinity }: Job): OnnxLoraError | undefined {
    if (signal?.aborted) return cancelled('The client has gone before there was an answer.', signal.reason);
    return deadline <= this.#clock.now() ? timedOut() : undefined;
  }

  #leave(entry: Entry<Work, Answer>, why: OnnxLoraError): void {
    if (entry.isDone) return;
    this.#settle(entry, why);
    this.#options.observer?.gone?.(entry.job);
    if (this.#queue.remove(entry)) this.#tellIdle();
    else if (entry.batch!.entries.every(({ isDone }) => isDone)) entry.batch!.gone.abort(why);
  }

  #settle(entry: Entry<Work, Answer>, outcome: Answer | Error): void {
    if (entry.isDone) return;
    entry.isDone = true;
    entry.forget();
    if (outcome instanceof Error) entry.reject(outcome);
    else entry.resolve(outcome);
  }

  /** Starts batches after simultaneous requests have arrived. */
  #startSoon(): void {
    if (this.#willStart || this.#running.size >= this.#concurrency) return;
    this.#willStart = true;
    this.#clock.after(0, () => {
      this.#willStart = false;
      while (this.#running.size < this.#concurrency && this.#queue.load.jobs > 0) void this.#run(this.#nextBatch());
    });
  }

  #nextBatch(): GrowingBatch<Entry<Work, Answer>> {
    const first = this.#queue.take()!;
    const limits = { ...this.#options, ...this.#options.batchLimits?.() };
    const maxCells = Math.min(limits.maxCells ?? Infinity, this.#times.worthwhileCells(first.like));
    const batch = new GrowingBatch(first, { ...limits, maxCells });
    while (!batch.isFull) {
      const next = this.#queue.take(({ job }) => batch.fits(job));
      if (!next) break;
      batch.add(next);
    }
    return batch;
  }

  async #run(batch: GrowingBatch<Entry<Work, Answer>>): Promise<void> {
    const { entries, rows, cells, padding, adapters } = batch;
    const [{ like, job: { key } }] = entries as [Entry<Work, Answer>]; // prettier-ignore
    const start = this.#clock.now();
    const running = { entries, gone: new AbortController(), end: start + cells * this.#price(like) };
    for (const entry of entries) entry.batch = running;
    this.#running.add(running);
    const isWhole = await this.#answer(entries, running.gone.signal);
    const computed = this.#clock.now() - start;
    if (isWhole) this.#times.add(like, cells, computed);
    this.#running.delete(running);
    this.#startSoon();
    this.#tellIdle();
    const waited = entries.map(({ since }) => start - since);
    this.#options.observer?.batch?.({ key, jobs: entries.length, rows, adapters, padding, waited, computed, isWhole });
  }

  /** Answers waiting entries; false if the batch had to be split. */
  async #answer(entries: readonly Entry<Work, Answer>[], signal: AbortSignal): Promise<boolean> {
    const wanted = entries.filter(({ isDone }) => !isDone);
    if (wanted.length === 0) return false;
    try {
      const answers = await this.#compute(wanted.map(({ job }) => job), signal); // prettier-ignore
      if (answers.length !== wanted.length) throw miscounted(wanted.length, answers.length);
      answers.forEach((answer, i) => this.#settle(wanted[i]!, answer));
      return wanted.length === entries.length;
    } catch (error) {
      const half = Math.ceil(wanted.length / 2);
      if (half < wanted.length) {
        await this.#answer(wanted.slice(0, half), signal);
        await this.#answer(wanted.slice(half), signal);
      } else this.#settle(wanted[0]!, error instanceof Error ? error : new Error(String(error), { cause: error }));
      return false;
    }
  }

  #tellIdle(): void {
    if (this.#isIdle) for (const resolve of this.#whenIdle.splice(0)) resolve();
  }
}

function cancelled(what: string, cause: unknown): OnnxLoraError {
  return new OnnxLoraError('CANCELLED', `${what} Send the request again where it is still wanted.`, { cause });
}

function timedOut(): OnnxLoraError {
  const what = 'The deadline has passed before there was an answer.';
  return cancelled(what, new DOMException(what, 'TimeoutError'));
}

function miscounted(jobs: number, answers: number): OnnxLoraError {
  return new OnnxLoraError(
    'RUNTIME_FAILED',
    `${answers} answers came for ${jobs} requests. Give compute's answers in the order of its jobs, one for each.`,
  );
}
