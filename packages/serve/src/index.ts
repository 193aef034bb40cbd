/** @file `@onnx-lora/serve`: a server for one base model and any number of adapters. */

export { serve, type Server, type ServeOptions } from './serve.ts';
export type { AdapterCatalog, AdapterChoiceOptions, AdapterInfo, ResolvedAdapter } from './adapters/catalog.ts';
export type { HttpLimits } from './http/app.ts';
export type { SessionSettings } from './inference/sessions.ts';
export type { Compute, Job, Scheduler } from './scheduler/job.ts';
