/** @file What a scheduler is told when it is made, and what it tells. */

import type { BatchLimits } from './batch.ts';
import type { Clock } from './clock.ts';
import type { Job } from './job.ts';
import type { OverloadReason } from './overloaded.ts';

/** How much may wait, and for how long. */
export interface QueueLimits {
  /** Rows that wait at most; of one tenant as many as are left free then, so that others always find room. 1024 by default. */
  readonly maxWaitingRows?: number;
  /** Bytes that requests hold at most while they wait, shared in the same way. 256 MiB by default. */
  readonly maxWaitingBytes?: number;
  /** Milliseconds that a request may be expected to wait; one that would wait longer is refused. 10,000 by default. */
  readonly maxWait?: number;
}

/** What is to be known of a batch that was computed. */
export interface BatchReport {
  /** Its key. */
  readonly key: string;
  /** Requests in it. */
  readonly jobs: number;
  /** Rows of these. */
  readonly rows: number;
  /** Different adapters, the base among them. */
  readonly adapters: number;
  /** The part of its positions that is padding. */
  readonly padding: number;
  /** Milliseconds that each of its requests waited. */
  readonly waited: readonly number[];
  /** Milliseconds that it computed. */
  readonly computed: number;
  /** False where it failed, or was computed in parts since one of its requests would have failed all. */
  readonly isWhole: boolean;
}

/** Hears of what happens, for metrics. */
export interface SchedulerObserver {
  /** A batch has been computed, or has failed. */
  batch?(report: BatchReport): void;
  /** A request was refused. */
  refused?(reason: OverloadReason): void;
  /** The client has gone, or its deadline has passed, before there was an answer. */
  gone?(job: Job): void;
}

/** Options of {@link createScheduler}. */
export interface SchedulerOptions extends BatchLimits, QueueLimits {
  /** Batches that compute at a time: 1 by default, as a session of the SDK uses all cores. */
  readonly concurrency?: number;
  /** What part of the time a tenant gets, compared to that of others, above 0; 1 by default. */
  readonly weightOf?: (tenant: string) => number;
  /** Asked before each batch for what it may be, in place of the same limits here. */
  readonly batchLimits?: () => BatchLimits;
  /** Whether there is no memory for a request, which is then refused. */
  readonly refuses?: (job: Pick<Job, 'rows' | 'length' | 'bytes'>, isIdle: boolean) => boolean;
  /** Hears of what happens. */
  readonly observer?: SchedulerObserver;
  /** The machine's by default. */
  readonly clock?: Clock;
}
