/** @file `@onnx-lora/serve/client`: asks a server from any program that has `fetch`: Node, browsers, workers. */

export type { AdapterChange, AdapterFiles, Adapters, UploadOptions } from './client/adapters.ts';
export { type AskOptions, Client, type ClientOptions, type InferAnswer, type InferOptions, type PredictOptions, type Sources } from './client/client.ts'; // prettier-ignore
export type { InputTensor, OutputTensor, TensorValues } from './client/tensors.ts';
export { ServerError } from './client/transport.ts';
export type { AdapterListing, ListedAdapter } from './http/admin/about.ts';
export type { StoredVersion } from './adapters/catalog.ts';
export type { PredictAnswer } from './http/predict/routes.ts';
export type { QueryForm, ServerStatus } from './http/status/serverStatus.ts';
export type { Moment, Spread } from './operation/history.ts';
export type { ModelMetadata, PortMetadata } from './http/v2/schemas.ts';
export type { Datatype } from './http/v2/tensors.ts';
export type { Share } from './adapters/manifest.ts';
export type { Stage } from './operation/counters.ts';
