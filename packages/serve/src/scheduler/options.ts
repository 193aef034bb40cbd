/** @file Options and reports of a scheduler. */

import type { BatchLimits } from './batch.ts';
import type { Job } from './job.ts';
import type { OverloadReason } from './overloaded.ts';

/** Limits of the queue. */
export interface QueueLimits {
  /** Maximum queued rows; one tenant may queue as many as then stay free, so that others find room. 1024 by default. */
  readonly maxWaitingRows?: number;
  /** Maximum queued bytes, shared likewise. 256 MiB by default. */
  readonly maxWaitingBytes?: number;
  /** Maximum expected wait in milliseconds, beyond which requests are refused. 10,000 by default. */
  readonly maxWait?: number;
}

/** Report of a computed batch. */
export interface BatchReport {
  /** Key of its jobs. */
  readonly key: string;
  /** Number of requests. */
  readonly jobs: number;
  /** Their rows. */
  readonly rows: number;
  /** Number of distinct adapters, including the base. */
  readonly adapters: number;
  /** Fraction of padding. */
  readonly padding: number;
  /** Wait of each request in milliseconds. */
  readonly waited: readonly number[];
  /** Computing time in milliseconds. */
  readonly computed: number;
  /** False if it failed or had to be split. */
  readonly isWhole: boolean;
}

/** Observes the scheduler, for metrics. */
export interface SchedulerObserver {
  /** A batch was computed or failed. */
  batch?(report: BatchReport): void;
  /** A request was refused. */
  refused?(reason: OverloadReason): void;
  /** The client disconnected, or its deadline passed, before the answer. */
  gone?(job: Job): void;
}

/** Options of {@link createScheduler}. */
export interface SchedulerOptions extends BatchLimits, QueueLimits {
  /** Concurrent batches; 1 by default, as a session uses all cores. */
  readonly concurrency?: number;
  /** Weight of a tenant, above 0; 1 by default. */
  readonly weightOf?: (tenant: string) => number;
  /** Dynamic limits of each batch, which override the others. */
  readonly batchLimits?: () => BatchLimits;
  /** Whether to refuse a request for lack of memory. */
  readonly refuses?: (job: Pick<Job, 'rows' | 'length' | 'bytes'>, isIdle: boolean) => boolean;
  /** Observes the scheduler. */
  readonly observer?: SchedulerObserver;
  /** Clock; the system's by default. */
  readonly clock?: Clock;
}

/** A clock. */
export interface Clock {
  /** Milliseconds since a fixed moment. */
  now(): number;
  /** Calls back after a delay; with 0, after pending input is read. @returns cancels it */
  after(milliseconds: number, then: () => void): () => void;
}

/** Maximum of `setTimeout`. */
const LONGEST = 2 ** 31 - 1;

/** The system's clock. Its timers do not keep a program alive. */
export const systemClock: Clock = {
  now: () => performance.now(),
  after(milliseconds, then) {
    if (milliseconds <= 0) {
      const soon = setImmediate(then);
      return () => clearImmediate(soon);
    }
    // Longer delays never fire.
    if (milliseconds > LONGEST) return () => undefined;
    const later = setTimeout(then, milliseconds).unref();
    return () => clearTimeout(later);
  },
};
