/** @file Options and results of requests to a model. */

import type { OutputTensor } from './tensors.ts';

/** Selects the adapter of a request. */
export interface AskOptions {
  /** The adapter; the base by default. */
  readonly adapter?: string | undefined;
  /** Its version; the current one by default. */
  readonly version?: string | undefined;
  /** Requests with the same key get the same version of a split name. */
  readonly sticky?: string | undefined;
  /** Aborts the request, on the server too. */
  readonly signal?: AbortSignal | undefined;
}

/** Options of an inference. */
export interface InferOptions extends AskOptions {
  /** Names of outputs; all by default. */
  readonly outputs?: readonly string[] | undefined;
  /** Priority among a tenant's requests, from 0 to 9, higher first; 5 by default. */
  readonly priority?: number | undefined;
  /** Timeout in milliseconds. */
  readonly timeout?: number | undefined;
}

/** Result of an inference. */
export interface InferAnswer {
  /** Tensors by output name. */
  readonly outputs: Readonly<Record<string, OutputTensor>>;
  /** The adapter that answered, with sha256 of its files; null for the base. */
  readonly adapter: { readonly name: string; readonly version: string; readonly digest: string } | null;
}

/** Options of a prediction. */
export type PredictOptions = AskOptions;

/** Input of a prediction: files, whose names or types tell their format, or records by column. */
export type Sources = Blob | readonly Blob[] | { readonly records: readonly Readonly<Record<string, unknown>>[] };
