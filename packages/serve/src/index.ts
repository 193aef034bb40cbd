/** @file A server for one base model and any number of adapters. */

export type { Compute, Job, Scheduler } from './scheduler/job.ts';
