/** @file A worker thread that loads and runs graphs, as seen from the main thread. */

import { Worker } from 'node:worker_threads';
import { OnnxLoraError } from '../../errors.ts';
import { fromBase64 } from '../../platform/bytes.ts';
import { atExit, notAtExit } from '../../platform/system.ts';
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

/** The worker program. Bundlers that keep names insert calls of `__name`; here it is the identity. */
const program = `
const __name = (target) => target;
const { parentPort, workerData } = require('node:worker_threads');
(${serveGraphs.toString()})(
  require(workerData.ort), parentPort, workerData, { busyPlace: ${BUSY}, stoppingPlace: ${STOPPING} },
  (${residentTensors.toString()}),
);
`;

/** Shared states of threads that may be in an ONNX Runtime call when the process exits. */
const alive = new Set<Int32Array>();

/** Waits for calls in progress: Node would kill their threads, and onnxruntime-node abort the process. */
function waitForCalls(): void {
  for (const state of alive) {
    Atomics.store(state, STOPPING, 1);
    for (let busy = Atomics.load(state, BUSY); busy > 0; busy = Atomics.load(state, BUSY))
      Atomics.wait(state, BUSY, busy);
  }
}

/** A worker thread. It keeps the process alive only while an answer is pending. */
export class WorkerThread {
  readonly #worker: Worker;
  readonly #state = new Int32Array(new SharedArrayBuffer(8));
  readonly #client: GraphClient;

  constructor(ort: string) {
    const shared: WorkerShared = { state: this.#state, identity: fromBase64(identityModel) };
    // The main thread's loaders and flags do not suit a program that imports one library.
    const worker = new Worker(program, {
      eval: true,
      workerData: { ort, ...shared },
      execArgv: [],
      name: 'onnx-lora',
      // Tensors lie outside of the heap, and other objects are few; V8 would keep up to 48 MB for them.
      resourceLimits: { maxYoungGenerationSizeMb: 4 },
    });
    this.#worker = worker;
    this.#client = new GraphClient({
      copied,
      post: (request, transfer) => worker.postMessage(request, transfer),
      owe: (isOwed) => (isOwed ? worker.ref() : worker.unref()),
    });
    if (alive.size === 0) atExit(waitForCalls);
    alive.add(this.#state);
    worker.unref();
    worker.on('message', (answer: WorkerAnswer) => this.#client.answered(answer));
    worker.on('error', (error) => this.#ended(error));
    worker.on('messageerror', (error) => this.#ended(error));
    worker.on('exit', (code) => {
      this.#ended(new Error(`it exited with code ${code}`));
      alive.delete(this.#state);
      if (alive.size === 0) notAtExit(waitForCalls);
    });
  }

  get hasEnded(): boolean {
    return this.#client.hasEnded;
  }

  /** Loads a graph; release it before stopping the thread. */
  load(model: Uint8Array, options: NativeOptions): Promise<LoadedGraph> {
    return this.#client.load(model, options);
  }

  stop(): void {
    if (!this.hasEnded) this.#worker.postMessage({ op: 'stop' } satisfies WorkerRequest);
  }

  /** Fails all pending requests, and ends the thread after its current ONNX Runtime call. */
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

/** Copies a tensor's values for transfer: the copy moves, and the caller's tensor stays usable. */
function copied({ type, data }: Tensor): TensorData {
  // Works for memory that cannot move, too: shared memory, or part of a larger buffer.
  const copy = new (arrayOf(type))(data.length);
  // The union of typed arrays cannot express that both sides have the same constructor.
  (copy as Float32Array).set(data as Float32Array);
  return copy;
}
