/** @file A server for one base model and any number of adapters. */

export type { BatchLimits } from './scheduler/batch.ts';
export type { Clock } from './scheduler/clock.ts';
export type { Load } from './scheduler/fairQueue.ts';
export type { Compute, Job, Scheduler } from './scheduler/job.ts';
export { OverloadedError, type OverloadReason } from './scheduler/overloaded.ts';
export {
  type BatchReport,
  type BatchScheduler,
  createScheduler,
  type QueueLimits,
  type SchedulerObserver,
  type SchedulerOptions,
} from './scheduler/scheduler.ts';
