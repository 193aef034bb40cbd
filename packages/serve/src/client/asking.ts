/** @file What a model is asked, and how. */

import type { OutputTensor } from './tensors.ts';

/** Whom a request is for. */
export interface AskOptions {
  /** The adapter that answers; the base alone without one. */
  readonly adapter?: string | undefined;
  /** One of its versions; by default the one that the name stands for. */
  readonly version?: string | undefined;
  /** Requests with the same key get the same version of a name that is split. */
  readonly sticky?: string | undefined;
  /** Ends the request, on the server too. */
  readonly signal?: AbortSignal | undefined;
}

/** How tensors are asked for. */
export interface InferOptions extends AskOptions {
  /** Names of outputs; all by default. */
  readonly outputs?: readonly string[] | undefined;
  /** From 0 to 9, higher first among one tenant's; 5 by default. */
  readonly priority?: number | undefined;
  /** Milliseconds after which nobody wants the answer. */
  readonly timeout?: number | undefined;
}

/** What tensors were answered with. */
export interface InferAnswer {
  /** Tensors by the names of outputs. */
  readonly outputs: Readonly<Record<string, OutputTensor>>;
  /** The adapter that answered, and sha256 of its files; null for the base. */
  readonly adapter: { readonly name: string; readonly version: string; readonly digest: string } | null;
}

/** How files are asked about. */
export type PredictOptions = AskOptions;

/** What is asked about: a file, several, or rows of a table by their columns. What a file is, its name or type says. */
export type Sources = Blob | readonly Blob[] | { readonly records: readonly Readonly<Record<string, unknown>>[] };
