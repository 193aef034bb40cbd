/** @file A worker thread that loads and runs graphs, as the main thread sees it. */

import { Worker } from 'node:worker_threads';
import { OnnxLoraError } from '../errors.ts';
import type { LoadedGraph, NativeOptions } from './engine.ts';
import { BoundFeeds } from './boundFeeds.ts';
import { identityModel, residentTensors } from './residentTensors.ts';
import { type Feeds, type Tensor, arrayOf } from './tensor.ts';
import {
  BUSY,
  type LoadedAnswer,
  type SentTensor,
  serveGraphs,
  STOPPING,
  type WorkerAnswer,
  type WorkerRequest,
  type WorkerShared,
} from './workerProgram.ts';

/** The worker's program. A bundler that keeps names puts calls of `__name` into functions; here it is the identity. */
const program = `
const __name = (target) => target;
const { parentPort, workerData } = require('node:worker_threads');
(${serveGraphs.toString()})(
  require(workerData.ort), parentPort, workerData, { busyPlace: ${BUSY}, stoppingPlace: ${STOPPING} },
  (${residentTensors.toString()}),
);
`;

/** States of the threads that may be in a call of ONNX Runtime when the process ends. */
const alive = new Set<Int32Array>();

/** Waits for the calls in progress: Node ends threads in the middle of them, and onnxruntime-node aborts the process then. */
function waitForCalls(): void {
  for (const state of alive) {
    Atomics.store(state, STOPPING, 1);
    for (let busy = Atomics.load(state, BUSY); busy > 0; busy = Atomics.load(state, BUSY))
      Atomics.wait(state, BUSY, busy);
  }
}

type Unasked<T> = T extends { readonly ask: number } ? Omit<T, 'ask'> : never;

interface Question {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

/** A worker thread. It does not keep the process alive unless it owes an answer. */
export class WorkerThread {
  readonly #worker: Worker;
  readonly #open = new Map<number, Question>();
  readonly #boundIds = new WeakMap<BoundFeeds, number>();
  readonly #state = new Int32Array(new SharedArrayBuffer(8));
  #count = 0;
  #end: OnnxLoraError | undefined;

  /** @param ort the file that onnxruntime-node is loaded from */
  constructor(ort: string) {
    const shared: WorkerShared = { state: this.#state, identity: Buffer.from(identityModel, 'base64') };
    // Loaders and flags of the main thread are not for a program that imports one library.
    this.#worker = new Worker(program, {
      eval: true,
      workerData: { ort, ...shared },
      execArgv: [],
      name: 'onnx-lora',
    });
    if (alive.size === 0) process.on('exit', waitForCalls);
    alive.add(this.#state);
    this.#worker.unref();
    this.#worker.on('message', (answer: WorkerAnswer) => this.#answered(answer));
    this.#worker.on('error', (error) => this.#ended(error));
    this.#worker.on('messageerror', (error) => this.#ended(error));
    this.#worker.on('exit', (code) => {
      this.#ended(new Error(`it exited with code ${code}`));
      alive.delete(this.#state);
      if (alive.size === 0) process.off('exit', waitForCalls);
    });
  }

  /** True when the thread has ended, by itself or otherwise. */
  get hasEnded(): boolean {
    return this.#end !== undefined;
  }

  /** Loads a graph; it must be released before the thread is stopped. */
  async load(model: Uint8Array, options: NativeOptions): Promise<LoadedGraph> {
    const { graph, ...names } = (await this.#ask({ op: 'load', model, options })) as LoadedAnswer;
    return {
      ...names,
      run: async (feeds, bound, fetches) => {
        const taken = new Set(names.inputNames);
        const sent = copies(feeds, (name) => taken.has(name));
        const ids = bound.map((each) => this.#boundIds.get(each) ?? -1);
        const outputs = await this.#ask({ op: 'run', graph, feeds: sent, bound: ids, fetches }, buffersOf(sent));
        return received(outputs as readonly SentTensor[]);
      },
      bind: (feeds) => this.#bind(feeds),
      endProfiling: async () => void (await this.#ask({ op: 'endProfiling', graph })),
      release: async () => {
        // A thread that has crashed holds nothing any more.
        if (!this.hasEnded) await this.#ask({ op: 'release', graph });
      },
    };
  }

  /** Ends the thread when it has done what it was asked. */
  stop(): void {
    this.#post({ op: 'stop' });
  }

  /** Fails all that is pending, and ends the thread when the call of ONNX Runtime that it is in returns. */
  terminate(): void {
    Atomics.store(this.#state, STOPPING, 1);
    this.stop();
    this.#ended(new Error('it was terminated'));
  }

  #bind(feeds: Feeds): BoundFeeds {
    const id = this.#count++;
    const sent = copies(feeds, () => true);
    this.#post({ op: 'bind', bound: id, feeds: sent }, buffersOf(sent));
    const bound = new BoundFeeds(Object.keys(feeds), () => this.#post({ op: 'drop', bound: id }));
    this.#boundIds.set(bound, id);
    return bound;
  }

  #ask(question: Unasked<WorkerRequest>, transfer: ArrayBuffer[] = []): Promise<unknown> {
    if (this.#end) return Promise.reject(this.#end);
    const ask = this.#count++;
    return new Promise((resolve, reject) => {
      this.#open.set(ask, { resolve, reject });
      this.#worker.ref();
      this.#post({ ask, ...question } as WorkerRequest, transfer);
    });
  }

  #post(request: WorkerRequest, transfer: ArrayBuffer[] = []): void {
    if (!this.#end) this.#worker.postMessage(request, transfer);
  }

  #answered(answer: WorkerAnswer): void {
    const question = this.#open.get(answer.ask);
    this.#open.delete(answer.ask);
    if (this.#open.size === 0) this.#worker.unref();
    if ('error' in answer) question?.reject(new Error(answer.error));
    else question?.resolve(answer.value);
  }

  #ended(cause: Error): void {
    this.#end ??= new OnnxLoraError(
      'RUNTIME_FAILED',
      `The worker thread of ONNX Runtime has ended: ${cause.message}. Make a new session; if that ends as well, give the process more memory, or run in place (worker: false) to see why.`,
      { cause },
    );
    for (const question of this.#open.values()) question.reject(this.#end);
    this.#open.clear();
  }
}

/** Tensors to send. They are copied once, here, and the copies move: the caller's own stay usable. */
function copies(feeds: Feeds, wanted: (name: string) => boolean): SentTensor[] {
  return Object.entries(feeds)
    .filter(([name]) => wanted(name))
    .map(([name, { type, dims, data }]) => {
      // Also of memory that cannot move: shared memory, or a part of a larger buffer.
      const copy = new (arrayOf(type))(data.length);
      // Same constructor on both sides, which the union of typed arrays cannot express.
      (copy as Float32Array).set(data as Float32Array);
      return [name, type, dims, copy];
    });
}

function buffersOf(sent: readonly SentTensor[]): ArrayBuffer[] {
  return sent.map(([, , , data]) => data.buffer as ArrayBuffer);
}

function received(sent: readonly SentTensor[]): Record<string, Tensor> {
  return Object.fromEntries(sent.map(([name, type, dims, data]) => [name, { type, dims, data }]));
}
