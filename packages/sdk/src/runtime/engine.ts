/** @file ONNX Runtime as sessions need it, in this thread or in a worker. */

import type { BoundFeeds } from './boundFeeds.ts';
import type { TransferableBuffers } from './transferableBuffers.ts';
import type { Feeds, Tensor } from './tensor.ts';

/** ONNX Runtime's session options: plain data that can be sent to a worker. */
export interface NativeOptions {
  readonly executionProviders: readonly string[];
  readonly graphOptimizationLevel: 'all' | 'disabled';
  readonly enableMemPattern: boolean;
  readonly logSeverityLevel: 0 | 1 | 2 | 3 | 4;
  readonly intraOpNumThreads?: number;
  readonly extra: Readonly<Record<string, string>>;
  /** Files of weights beside the model, relative to their folder; onnxruntime-node finds them by `extra`. */
  readonly weights?: { readonly folder: string; readonly files: readonly string[] };
  readonly enableProfiling?: boolean;
  readonly profileFilePrefix?: string;
}

/** A graph loaded by ONNX Runtime. Errors are its own. */
export interface LoadedGraph {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  run(feeds: Feeds, bound: readonly BoundFeeds[], fetches?: readonly string[]): Promise<Record<string, Tensor>>;
  readonly memory: TransferableBuffers;
  /** Copies tensors to where the graph runs; those in a transferable buffer move instead. */
  bind(feeds: Feeds, memory?: ArrayBuffer): BoundFeeds;
  endProfiling(): Promise<void>;
  release(): Promise<void>;
}

/** A place where ONNX Runtime runs. */
export interface Engine {
  readonly built: readonly string[];
  load(model: Uint8Array, options: NativeOptions): Promise<LoadedGraph>;
}
