/** @file The runtime port: the SDK's interface to inference engines. `ort.ts` implements it on ONNX Runtime. */

import type { BoundFeeds } from './boundFeeds.ts';
import type { TransferableBuffers } from './transferableBuffers.ts';
import type { Feeds, Tensor } from './tensor.ts';

/** An execution provider of ONNX Runtime; `auto` resolves to one. */
export type ConcreteProvider = 'cpu' | 'cuda' | 'dml' | 'coreml' | 'webgpu';

/** Where a graph runs: `auto` picks the best working provider; plugins may add names. */
export type Provider = 'auto' | ConcreteProvider | (string & {});

/** Where a session runs: a provider of ONNX Runtime, or the engine of a plugin. */
export type SessionProvider = ConcreteProvider | (string & {});

/** Options of a session. */
export interface SessionOptions {
  /** The execution provider; `auto` by default. */
  readonly provider?: Provider;
  /** Threads per operator on the CPU; by default the environment variable `ONNX_LORA_THREADS`, or all cores. */
  readonly threads?: number;
  /** Arithmetic of engines that have several; float32 by default, which is ONNX Runtime's only one. */
  readonly arithmetic?: 'float32' | 'bfloat16';
  /** `inference` by default. `training` turns off memory patterns, which would double a loop's peak. */
  readonly purpose?: 'training' | 'inference';
  /** Copy weights on loading into the fastest layout (default); if false they stay memory-mapped, a little slower. */
  readonly prepack?: boolean;
  /** Optimize the graph; true by default. If false, loading is fast and small for any graph, and runs take longer. */
  readonly optimize?: boolean;
  /** Eliminate common subexpressions; true by default. False for graphs that recompute to save memory. */
  readonly mergesEqual?: boolean;
  /** Whether waiting CPU threads spin: fastest for a single session (default); false leaves cores to other work. */
  readonly spins?: boolean;
  /** Providers to try in this order if `provider` does not work or fails verification; `auto` has its own list. */
  readonly fallback?: readonly ConcreteProvider[];
  /**
   * Whether to verify the first run against the CPU provider: by default for inference with a fallback (`auto`,
   * `fallback`). Costs a run on the CPU, and a second copy of the weights meanwhile.
   */
  readonly verify?: boolean | Verification;
  /**
   * Fail instead of falling back: if the first provider does not work, differs from the CPU, or leaves operators other
   * than shape computations to the CPU. False by default.
   */
  readonly strict?: boolean;
  /** Called with the reason when another provider takes over; a process warning by default. */
  readonly onWarning?: (message: string) => void;
  /** Maximum number of waiting runs; further runs fail with `OVERLOADED`. No limit by default. */
  readonly maxQueue?: number;
}

/** Required agreement of a provider with the CPU. */
export interface Verification {
  /** Accepted difference relative to the largest magnitude (non-floats: share of elements); 0.01 by default. */
  readonly tolerance?: number;
}

/** Options of one run. */
export interface RunOptions {
  /** Tensors bound to the session, in addition to the feeds. */
  readonly bound?: readonly BoundFeeds[];
  /** Cancels with `CANCELLED` at once: drops a waiting run, or abandons a computing one and its result. */
  readonly signal?: AbortSignal;
}

/** An operator that ran on the CPU in a session on another provider. */
export interface FallenBackNode {
  /** Type of the operator, such as `LogSoftmax`. */
  readonly op: string;
  /** Name of the node in ONNX Runtime's optimized graph. */
  readonly name: string;
  /** `shape-arithmetic`: integers that ONNX Runtime leaves on the CPU. `no-kernel`: tensors are copied there. */
  readonly reason: 'shape-arithmetic' | 'no-kernel';
}

/** Where a graph actually ran. */
export interface ProviderReport {
  /** The session's provider. */
  readonly provider: SessionProvider;
  /** Number of operators by provider; unknown providers under ONNX Runtime's own name. */
  readonly nodes: Readonly<Record<string, number>>;
  /** Operators that ran on the CPU; empty on the CPU provider. */
  readonly fallenBack: readonly FallenBackNode[];
  /** Difference from the CPU's outputs, relative to the largest magnitude; absent on the CPU provider. */
  readonly verified?: { readonly maxDifference: number; readonly tolerance: number };
}

/** A graph to load: a model's bytes without large weights, and the folder of its external data. */
export interface SessionSource {
  /** The model as a protobuf file. */
  readonly bytes: Uint8Array;
  /** Folder of the external data. */
  readonly folder?: string;
  /** The files of the external data, relative to `folder`. */
  readonly files?: readonly string[];
  /** The graph as ONNX Runtime's CPU provider reads weights without a copy; undefined where `bytes` are as good. */
  readonly onCpu?: (options: { readonly prepack: boolean }) => CpuGraph | undefined;
  /** The file as the user named it, for error messages. */
  readonly name: string;
}

/** A graph for the CPU. */
export interface CpuGraph {
  /** The model as a protobuf file. */
  readonly bytes: Uint8Array;
  /** Whether it widens weights once for each product, so that equal nodes must not be merged. */
  readonly widens: boolean;
}

/** A loaded graph. */
export interface Session {
  /** Names of the graph's inputs. */
  readonly inputNames: readonly string[];
  /** Names of the graph's outputs. */
  readonly outputNames: readonly string[];
  /** The actual provider, or the engine of a plugin. Verification of the first run may change it. */
  readonly provider: SessionProvider;
  /**
   * Runs the graph once. Runs of one session take turns. Tensors must not change before the run ends.
   * @param feeds one tensor per graph input that is not bound
   * @param fetches names of the outputs to return; all by default
   * @throws OnnxLoraError `INPUT_INVALID` for a missing input, `CANCELLED`, `OVERLOADED`, `RUNTIME_FAILED`
   */
  run(feeds: Feeds, fetches?: readonly string[], options?: RunOptions): Promise<Record<string, Tensor>>;
  /** Binds tensors for many runs, which saves sending them each time. Optional for a runtime without that cost. */
  bind?(feeds: Feeds, memory?: ArrayBuffer): BoundFeeds;
  /** Transferable buffers for bound tensors: they move to where the graph runs, and come back. */
  readonly memory?: TransferableBuffers;
  /** Runs once with ONNX Runtime's profiler in a temporary session, and reports where each operator ran. */
  providerReport?(feeds: Feeds, options?: RunOptions): Promise<ProviderReport>;
  /** Frees the native session after pending runs. */
  release(): Promise<void>;
}

/** Creates sessions; an argument to everything above the runtime layer. */
export interface Runtime {
  /** Loads a graph. @throws OnnxLoraError `PROVIDER_UNAVAILABLE`, `RUNTIME_FAILED` */
  createSession(source: SessionSource, options?: SessionOptions): Promise<Session>;
}
