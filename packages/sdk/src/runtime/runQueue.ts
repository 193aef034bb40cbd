/** @file A session's run queue: one run at a time, with limit and cancellation. */

import { OnnxLoraError } from '../errors.ts';

/** Options of one task. */
export interface QueueOptions {
  /** Drops a waiting task, or abandons a running one. */
  readonly signal?: AbortSignal | undefined;
  /** Called once, after the task ended or was dropped. */
  readonly ended?: () => void;
}

/** Runs tasks one at a time, first in, first out. */
export class RunQueue {
  readonly #name: string;
  readonly #limit: number;
  readonly #waiting: (() => Promise<void>)[] = [];
  #isRunning = false;
  #isClosed = false;
  #whenIdle: (() => void)[] = [];

  /**
   * An empty queue.
   * @param name its subject in error messages
   * @param limit maximum number of waiting tasks
   */
  constructor(name: string, limit: number = Infinity) {
    this.#name = name;
    this.#limit = limit;
  }

  /** Adds a task. @throws OnnxLoraError `OVERLOADED`, `CANCELLED`, `RUNTIME_FAILED` after `close` */
  add<T>(work: () => Promise<T>, { signal, ended = () => undefined }: QueueOptions = {}): Promise<T> {
    const refusal = this.#refusal(signal);
    if (refusal) {
      ended();
      return Promise.reject(refusal);
    }
    return new Promise<T>((resolve, reject) => {
      const start = async (): Promise<void> => {
        try {
          resolve(await work());
        } catch (error) {
          reject(error as Error);
        } finally {
          signal?.removeEventListener('abort', cancel);
          ended();
        }
      };
      const cancel = (): void => {
        reject(this.#cancelled(signal));
        const place = this.#waiting.indexOf(start);
        if (place === -1) return;
        this.#waiting.splice(place, 1);
        ended();
      };
      signal?.addEventListener('abort', cancel, { once: true });
      this.#waiting.push(start);
      if (!this.#isRunning) void this.#runAll();
    });
  }

  /** Refuses new tasks, and resolves after all earlier ones. */
  async close(): Promise<void> {
    this.#isClosed = true;
    if (this.#isRunning) await new Promise<void>((resolve) => this.#whenIdle.push(resolve));
  }

  #refusal(signal: AbortSignal | undefined): OnnxLoraError | undefined {
    if (this.#isClosed) {
      return new OnnxLoraError(
        'RUNTIME_FAILED',
        `The session of "${this.#name}" has been released. Make another, or release it after its last run.`,
      );
    }
    if (signal?.aborted) return this.#cancelled(signal);
    if (!this.#isRunning || this.#waiting.length < this.#limit) return undefined;
    return new OnnxLoraError(
      'OVERLOADED',
      `"${this.#name}" is overloaded: one run computes and ${this.#waiting.length} wait, as many as maxQueue allows. Try again later, or raise maxQueue.`,
    );
  }

  #cancelled(signal: AbortSignal | undefined): OnnxLoraError {
    return new OnnxLoraError('CANCELLED', `The run of "${this.#name}" was cancelled by its signal.`, {
      cause: signal?.reason,
    });
  }

  async #runAll(): Promise<void> {
    this.#isRunning = true;
    for (let next = this.#waiting.shift(); next; next = this.#waiting.shift()) await next();
    this.#isRunning = false;
    for (const resolve of this.#whenIdle.splice(0)) resolve();
  }
}
