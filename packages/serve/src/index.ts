/** @file `@onnx-lora/serve`: a server for one base model and any number of adapters. */

export { serve, type Server } from './serve.ts';
export type { ServeOptions } from './services.ts';
export type { AdapterCatalog, AdapterChoiceOptions, AdapterInfo, ResolvedAdapter } from './adapters/catalog.ts';
export { type CacheSettings, isAddress } from './adapters/adaptersAt.ts';
export type { FileLimits, IncomingFile } from './adapters/incoming.ts';
export type { Share } from './adapters/manifest.ts';
export { AdapterStore, type StoredAdapter, type StoreOptions } from './adapters/store.ts';
export type { Upload, UploadRules } from './adapters/upload.ts';
export type { HttpLimits } from './http/bodies.ts';
export type { AnsweredRequest, LogEntry, LogLevel } from './operation/log.ts';
export type { KeySettings } from './operation/access.ts';
export type { TlsSettings } from './operation/tls.ts';
export { type GrpcSettings, type ServeSettings, serveSettings, type StoreSettings } from './operation/settings.ts';
export type { SessionSettings } from './inference/sessions.ts';
export type { BatchLimits } from './scheduler/batch.ts';
export type { Load } from './scheduler/fairQueue.ts';
export type { Compute, Job, Scheduler } from './scheduler/job.ts';
export type { BatchReport, Clock, QueueLimits, SchedulerObserver, SchedulerOptions } from './scheduler/options.ts';
export { OverloadedError, type OverloadReason } from './scheduler/overloaded.ts';
export { type BatchScheduler, createScheduler } from './scheduler/scheduler.ts';
