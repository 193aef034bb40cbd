/** @file What sessions need of ONNX Runtime itself, wherever it runs: in this thread or in a worker. */

import type { BoundFeeds } from './boundFeeds.ts';
import type { TransferableBuffers } from './transferableBuffers.ts';
import type { Feeds, Tensor } from './tensor.ts';

/** Options of ONNX Runtime's session, in its own words: plain data, so that they can be sent to a worker. */
export interface NativeOptions {
  readonly executionProviders: readonly string[];
  readonly graphOptimizationLevel: 'all' | 'disabled';
  readonly enableMemPattern: boolean;
  readonly logSeverityLevel: 0 | 1 | 2 | 3 | 4;
  readonly intraOpNumThreads?: number;
  readonly extra: Readonly<Record<string, string>>;
  readonly enableProfiling?: boolean;
  readonly profileFilePrefix?: string;
}

/** A graph that ONNX Runtime has loaded. Errors are its own. */
export interface LoadedGraph {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  run(feeds: Feeds, bound: readonly BoundFeeds[], fetches?: readonly string[]): Promise<Record<string, Tensor>>;
  /** Where buffers come from that `bind` takes. */
  readonly memory: TransferableBuffers;
  /** Holds tensors where the graph runs: copies, but of those that lie in lent memory, which moves there. */
  bind(feeds: Feeds, memory?: ArrayBuffer): BoundFeeds;
  /** Writes the profile of the runs so far. */
  endProfiling(): Promise<void>;
  release(): Promise<void>;
}

/** A place where ONNX Runtime runs. */
export interface Engine {
  /** Providers that its build for this platform has. */
  readonly built: readonly string[];
  load(model: Uint8Array, options: NativeOptions): Promise<LoadedGraph>;
}
