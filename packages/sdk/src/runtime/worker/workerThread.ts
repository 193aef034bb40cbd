/** @file A worker thread that loads and runs graphs, as the main thread sees it. */

import { Worker } from 'node:worker_threads';
import { OnnxLoraError } from '../../errors.ts';
import type { LoadedGraph, NativeOptions } from '../engine.ts';
import { GraphClient } from './graphClient.ts';
import { identityModel, residentTensors } from '../residentTensors.ts';
import { arrayOf, type Tensor, type TensorData } from '../tensor.ts';
import {
  BUSY,
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

/** A worker thread. It does not keep the process alive unless it owes an answer. */
export class WorkerThread {
  readonly #worker: Worker;
  readonly #state = new Int32Array(new SharedArrayBuffer(8));
  readonly #client: GraphClient;

  /** @param ort the file that onnxruntime-node is loaded from */
  constructor(ort: string) {
    const shared: WorkerShared = { state: this.#state, identity: Buffer.from(identityModel, 'base64') };
    // Loaders and flags of the main thread are not for a program that imports one library.
    const worker = new Worker(program, { eval: true, workerData: { ort, ...shared }, execArgv: [], name: 'onnx-lora' });
    this.#worker = worker;
    this.#client = new GraphClient({
      copied,
      post: (request, transfer) => worker.postMessage(request, transfer),
      owe: (isOwed) => (isOwed ? worker.ref() : worker.unref()),
    });
    if (alive.size === 0) process.on('exit', waitForCalls);
    alive.add(this.#state);
    worker.unref();
    worker.on('message', (answer: WorkerAnswer) => this.#client.answered(answer));
    worker.on('error', (error) => this.#ended(error));
    worker.on('messageerror', (error) => this.#ended(error));
    worker.on('exit', (code) => {
      this.#ended(new Error(`it exited with code ${code}`));
      alive.delete(this.#state);
      if (alive.size === 0) process.off('exit', waitForCalls);
    });
  }

  /** True when the thread has ended, by itself or otherwise. */
  get hasEnded(): boolean {
    return this.#client.hasEnded;
  }

  /** Loads a graph; it must be released before the thread is stopped. */
  load(model: Uint8Array, options: NativeOptions): Promise<LoadedGraph> {
    return this.#client.load(model, options);
  }

  /** Ends the thread when it has done what it was asked. */
  stop(): void {
    if (!this.hasEnded) this.#worker.postMessage({ op: 'stop' } satisfies WorkerRequest);
  }

  /** Fails all that is pending, and ends the thread when the call of ONNX Runtime that it is in returns. */
  terminate(): void {
    Atomics.store(this.#state, STOPPING, 1);
    this.stop();
    this.#ended(new Error('it was terminated'));
  }

  #ended(cause: Error): void {
    this.#client.end(
      new OnnxLoraError(
        'RUNTIME_FAILED',
        `The worker thread of ONNX Runtime has ended: ${cause.message}. Make a new session; if that ends as well, give the process more memory, or run in place (worker: false) to see why.`,
        { cause },
      ),
    );
  }
}

/** Tensors to send to another thread. They are copied once, here, and the copies move: the caller's own stay usable. */
function copied({ type, data }: Tensor): TensorData {
  // Also of memory that cannot move: shared memory, or a part of a larger buffer.
  const copy = new (arrayOf(type))(data.length);
  // Same constructor on both sides, which the union of typed arrays cannot express.
  (copy as Float32Array).set(data as Float32Array);
  return copy;
}
