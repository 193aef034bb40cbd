/** @file Program of a worker thread: loads and runs graphs by messages. */

import type { NativeOptions } from '../engine.ts';
import type { OrtFeeds, OrtModule, OrtSession, ResidentTensors, residentTensors } from '../residentTensors.ts';
import type { DataType, TensorData } from '../tensor.ts';

/** A tensor in a message. */
export type SentTensor = readonly [name: string, type: DataType, dims: readonly number[], data: TensorData];

/** A request to the worker. Those with an `ask` are answered. */
export type WorkerRequest =
  | { readonly ask: number; readonly op: 'load'; readonly model: Uint8Array; readonly options: NativeOptions }
  | {
      readonly ask: number;
      readonly op: 'run';
      readonly graph: number;
      readonly feeds: readonly SentTensor[];
      readonly bound: readonly number[];
      readonly fetches: readonly string[] | undefined;
    }
  | { readonly ask: number; readonly op: 'endProfiling' | 'release'; readonly graph: number }
  | {
      readonly op: 'bind';
      readonly bound: number;
      readonly feeds: readonly SentTensor[];
      /** Transferable buffer of some of these tensors; returned when they are dropped. */
      readonly memory: ArrayBuffer | undefined;
    }
  | { readonly op: 'drop'; readonly bound: number }
  | { readonly op: 'stop' };

/** An answer: the result or an error message, or a returned transferable buffer. */
export type WorkerAnswer =
  | { readonly ask: number; readonly value: unknown }
  | { readonly ask: number; readonly error: string }
  | { readonly returned: ArrayBuffer };

/** Description of a loaded graph. */
export interface LoadedAnswer {
  readonly graph: number;
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
}

interface Port {
  on(event: 'message', listener: (request: WorkerRequest) => void): void;
  postMessage(answer: WorkerAnswer, transfer?: readonly ArrayBufferLike[]): void;
  close(): void;
}

/** Worker data. */
export interface WorkerShared {
  readonly state: Int32Array;
  /** The identity model, which copies tensors to a GPU. */
  readonly identity: Uint8Array;
}

interface Loaded {
  readonly session: OrtSession;
  readonly resident: ResidentTensors<number> | undefined;
}

/** Index in the shared state: number of ONNX Runtime calls in progress. */
export const BUSY = 0;
/** Index in the shared state: 1 once no further call may begin. */
export const STOPPING = 1;

/**
 * Serves graphs on `port`. The function's text is the worker program, so it may use nothing but its arguments; the SDK
 * needs no second file, and works bundled, built or from source.
 * @param shared.state shared with the main thread, which must not end this thread during a call of ONNX Runtime: that
 * crashes the process with a C++ exception
 */
export function serveGraphs(
  ort: OrtModule,
  port: Port,
  { state, identity }: WorkerShared,
  { busyPlace, stoppingPlace }: { readonly busyPlace: number; readonly stoppingPlace: number },
  resident: typeof residentTensors,
): void {
  const graphs = new Map<number, Loaded>();
  const bound = new Map<number, OrtFeeds>();
  const lent = new Map<number, ArrayBuffer>();
  let count = 0;

  const tensorsOf = (sent: readonly SentTensor[]): OrtFeeds =>
    Object.fromEntries(sent.map(([name, type, dims, data]) => [name, new ort.Tensor(type, data, dims)]));

  /** Calls ONNX Runtime; never returns once the thread is stopping, when nobody waits for an answer. */
  const native = async <T>(call: () => Promise<T> | T): Promise<T> => {
    Atomics.add(state, busyPlace, 1);
    try {
      if (Atomics.load(state, stoppingPlace) === 0) return await call();
    } finally {
      Atomics.sub(state, busyPlace, 1);
      Atomics.notify(state, busyPlace);
    }
    return new Promise<T>(() => undefined);
  };

  const answer = async (request: Extract<WorkerRequest, { readonly ask: number }>): Promise<void> => {
    const { ask } = request;
    if (request.op === 'load') {
      const session = await native(() => ort.InferenceSession.create(request.model, request.options));
      const graph = count++;
      const isOnGpu = request.options.executionProviders[0] === 'webgpu';
      graphs.set(graph, { session, resident: isOnGpu ? resident(ort, identity, request.options) : undefined });
      port.postMessage({
        ask,
        value: { graph, inputNames: session.inputNames, outputNames: session.outputNames },
      });
      return;
    }
    const { session, resident: onGpu } = graphs.get(request.graph)!;
    if (request.op === 'run') {
      const held: OrtFeeds[] = [];
      for (const id of request.bound) {
        const tensors = bound.get(id) ?? {};
        held.push(onGpu ? await native(() => onGpu.of(id, tensors)) : tensors);
      }
      const feeds = Object.assign(tensorsOf(request.feeds), ...held) as OrtFeeds;
      const outputs = Object.entries(
        await native(() => (request.fetches ? session.run(feeds, request.fetches) : session.run(feeds))),
      ).map(([name, { type, dims, data }]) => [name, type, dims, data] as const);
      port.postMessage({ ask, value: outputs }, [...new Set(outputs.map(([, , , data]) => data.buffer))]);
      return;
    }
    if (request.op === 'release') {
      graphs.delete(request.graph);
      await native(() => onGpu?.release());
      await native(() => session.release());
    } else await native(() => session.endProfiling());
    port.postMessage({ ask, value: undefined });
  };

  port.on('message', (request) => {
    if (request.op === 'bind') {
      bound.set(request.bound, tensorsOf(request.feeds));
      if (request.memory) lent.set(request.bound, request.memory);
    } else if (request.op === 'drop') {
      bound.delete(request.bound);
      for (const { resident: onGpu } of graphs.values()) onGpu?.drop(request.bound);
      const returned = lent.get(request.bound);
      if (!returned) return;
      lent.delete(request.bound);
      port.postMessage({ returned }, [returned]);
    } else if (request.op === 'stop') port.close();
    else {
      answer(request).catch((error: unknown) => {
        port.postMessage({ ask: request.ask, error: error instanceof Error ? error.message : String(error) });
      });
    }
  });
}
