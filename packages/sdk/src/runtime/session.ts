/** @file The runtime port: what the SDK needs of an inference engine. `ort.ts` implements it on ONNX Runtime. */

import type { Feeds, Tensor } from './tensor.ts';

/** Where a graph runs. `auto` picks the best provider that works on this machine. */
export type Provider = 'auto' | 'cpu' | 'cuda' | 'dml' | 'coreml' | 'webgpu';

/** How a session uses the machine. */
export interface SessionOptions {
  /** The execution provider; `auto` by default. */
  readonly provider?: Provider;
  /** Threads for one operator on the CPU; all cores by default. */
  readonly threads?: number;
  /**
   * What the session is for; `inference` by default. `training` plans memory for a graph that runs over and over: without
   * the memory pattern, which would double the peak.
   */
  readonly purpose?: 'training' | 'inference';
  /**
   * Copy each weight on loading into the layout that products read fastest; true by default. Without it, weights stay in
   * the user's file, mapped into memory, and products of many rows take a few percent longer.
   */
  readonly prepack?: boolean;
}

/** A graph ready to run: the bytes of a model without large weights, and the folder its external data lies in. */
export interface SessionSource {
  readonly bytes: Uint8Array;
  /** Folder that the external-data locations inside `bytes` are relative to. */
  readonly folder?: string;
  /** For error messages: the file the user named. */
  readonly name: string;
}

/** A loaded graph. */
export interface Session {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  /** The provider it really runs on. */
  readonly provider: Exclude<Provider, 'auto'>;
  /**
   * Runs the graph once.
   *
   * @param feeds one tensor per graph input
   * @param fetches names of the outputs to return; all of them by default
   */
  run(feeds: Feeds, fetches?: readonly string[]): Promise<Record<string, Tensor>>;
  /** Frees the native session. */
  release(): Promise<void>;
}

/** Makes sessions. Everything above the runtime layer takes one as an argument. */
export interface Runtime {
  /**
   * Loads a graph.
   *
   * @throws OnnxLoraError `PROVIDER_UNAVAILABLE`, `RUNTIME_FAILED`
   */
  createSession(source: SessionSource, options?: SessionOptions): Promise<Session>;
}
