/** @file The runtime port: what the SDK needs of an inference engine. `ort.ts` implements it on ONNX Runtime. */

import type { BoundFeeds } from './boundFeeds.ts';
import type { TransferableBuffers } from './transferableBuffers.ts';
import type { Feeds, Tensor } from './tensor.ts';

/** An execution provider of ONNX Runtime; `auto` becomes one of these. */
export type ConcreteProvider = 'cpu' | 'cuda' | 'dml' | 'coreml' | 'webgpu';

/** Where a graph runs: `auto` picks the best provider that works on this machine, and plugins may bring more names. */
export type Provider = 'auto' | ConcreteProvider | (string & {});

/** How a session uses the machine. */
export interface SessionOptions {
  /** The execution provider; `auto` by default. */
  readonly provider?: Provider;
  /** Threads for one operator on the CPU; by default what the environment variable `ONNX_LORA_THREADS` says, or all cores. */
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
  /**
   * Make the graph faster while it is loaded; true by default. Without it, loading only checks the graph, in little time and
   * memory however large the weights are, and runs take longer.
   */
  readonly optimize?: boolean;
  /**
   * Compute equal operators with equal inputs once; true by default. False for a graph that computes some values twice on
   * purpose, so that they need not be kept in between.
   */
  readonly mergesEqual?: boolean;
  /**
   * Whether threads that wait for each other keep their cores meanwhile, on the CPU. True by default, which is fastest for a
   * session alone; false is for a process that has something else to do, such as to talk to clients.
   */
  readonly spins?: boolean;
  /** Providers to try, in this order, where `provider` does not work or fails its verification; `auto` brings its own. */
  readonly fallback?: readonly ConcreteProvider[];
  /**
   * Whether the first run is held against the CPU provider's: true by default for inference where another provider can
   * take over (`auto`, `fallback`), false otherwise. It takes one run on the CPU, and a second copy of the weights while
   * that lasts.
   */
  readonly verify?: boolean | Verification;
  /**
   * Fail instead of falling back: when the first choice of provider does not work, when its first run differs from the
   * CPU's, or when it leaves operators to the CPU (those that only compute shapes aside). False by default.
   */
  readonly strict?: boolean;
  /** Called when another provider takes over, with the reason; a warning of the process by default. */
  readonly onWarning?: (message: string) => void;
  /** How many runs may wait while one computes; one more is refused as `OVERLOADED`. No limit by default. */
  readonly maxQueue?: number;
}

/** How close a provider must come to the CPU. */
export interface Verification {
  /**
   * The largest difference that is accepted, in parts of the largest magnitude of the same output; 0.01 by default. For
   * outputs that are not floating-point numbers: the part of elements that may differ.
   */
  readonly tolerance?: number;
}

/** Options of one run. */
export interface RunOptions {
  /** Tensors that were bound to the session, beside the feeds. */
  readonly bound?: readonly BoundFeeds[];
  /**
   * Cancels: a run that waits is dropped, one that computes is abandoned, and its result with it. Either rejects at once
   * with `CANCELLED`.
   */
  readonly signal?: AbortSignal;
}

/** An operator that ran on the CPU although the session runs elsewhere. */
export interface FallenBackNode {
  /** Type of the operator, such as `LogSoftmax`. */
  readonly op: string;
  /** Name of the node, in the graph that ONNX Runtime has optimized. */
  readonly name: string;
  /**
   * `shape-arithmetic`: it computes with integers only, which ONNX Runtime leaves on the CPU by choice. `no-kernel`: the
   * provider cannot compute it for these types, so tensors are copied there and back.
   */
  readonly reason: 'shape-arithmetic' | 'no-kernel';
}

/** Where a graph really ran. */
export interface ProviderReport {
  /** The session's provider. */
  readonly provider: ConcreteProvider;
  /** How many operators ran where: by provider, or by ONNX Runtime's own name of one that the SDK does not know. */
  readonly nodes: Readonly<Record<string, number>>;
  /** Operators that ran on the CPU; none where that is the provider. */
  readonly fallenBack: readonly FallenBackNode[];
  /** How far the outputs are from the CPU's, in parts of the largest magnitude; absent where that is the provider. */
  readonly verified?: { readonly maxDifference: number; readonly tolerance: number };
}

/** A graph ready to run: the bytes of a model without large weights, and the folder its external data lies in. */
export interface SessionSource {
  /** The model as a protobuf file. */
  readonly bytes: Uint8Array;
  /** Folder that the external-data locations inside `bytes` are relative to. */
  readonly folder?: string;
  /** For error messages: the file the user named. */
  readonly name: string;
}

/** A loaded graph. */
export interface Session {
  /** Names of the graph's inputs. */
  readonly inputNames: readonly string[];
  /** Names of the graph's outputs. */
  readonly outputNames: readonly string[];
  /** The provider it really runs on. The first run may change it, where it is verified. */
  readonly provider: ConcreteProvider;
  /**
   * Runs the graph once. Runs of one session take turns. A tensor must not be changed before its run has ended.
   *
   * @param feeds one tensor per graph input, apart from those bound
   * @param fetches names of the outputs to return; all of them by default
   * @throws OnnxLoraError `INPUT_INVALID` for a missing input, `CANCELLED`, `OVERLOADED`, `RUNTIME_FAILED`
   */
  run(feeds: Feeds, fetches?: readonly string[], options?: RunOptions): Promise<Record<string, Tensor>>;
  /**
   * Hands tensors over once that many runs will read, so that they need not travel with each. A runtime for which that
   * makes no difference may lack it.
   */
  bind?(feeds: Feeds, memory?: ArrayBuffer): BoundFeeds;
  /** Where buffers come from in which tensors can lie that are bound: they move to where the graph runs, and come back. */
  readonly memory?: TransferableBuffers;
  /**
   * Runs once with ONNX Runtime's profiler, in a session made for this and released again, and says where each operator
   * ran.
   */
  providerReport?(feeds: Feeds, options?: RunOptions): Promise<ProviderReport>;
  /** Frees the native session, after the runs that were asked for before. */
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
