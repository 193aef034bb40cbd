/** @file The runtime port on onnxruntime-node in a worker thread, which keeps the calling thread free. */

import type { Engine, LoadedGraph, NativeOptions } from '../engine.ts';
import { builtProviders, ortFile } from '../../platform/engine.ts';
import { openSession } from '../providers/providerSession.ts';
import type { Runtime, Session, SessionOptions, SessionSource } from '../session.ts';
import { WorkerThread } from './workerThread.ts';

/** Delay before an idle thread ends, so that the next session can reuse its memory. */
const LINGER_MS = 1000;

/**
 * ONNX Runtime in a worker thread, shared by all sessions of a runtime in turns; each operator may use all cores. The
 * thread starts with the first session, ends with the last, does not keep the process alive, and restarts with the next
 * session after a crash.
 */
export class WorkerRuntime implements Runtime {
  #thread: WorkerThread | undefined;
  #graphs = 0;
  readonly #engine: Engine = { built: builtProviders(), load: (model, options) => this.#load(model, options) };

  /** Loads a graph. @throws OnnxLoraError `PROVIDER_UNAVAILABLE`, `RUNTIME_FAILED` if ONNX Runtime refuses it */
  createSession(source: SessionSource, options: SessionOptions = {}): Promise<Session> {
    return openSession(this.#engine, source, options);
  }

  /** Fails pending runs with `RUNTIME_FAILED`; the thread ends after the current run, which cannot be stopped. */
  terminate(): void {
    this.#thread?.terminate();
  }

  async #load(model: Uint8Array, options: NativeOptions): Promise<LoadedGraph> {
    if (!this.#thread || this.#thread.hasEnded) {
      this.#thread = new WorkerThread(ortFile());
      this.#graphs = 0;
    }
    const thread = this.#thread;
    this.#graphs++;
    try {
      const graph = await thread.load(model, options);
      return {
        ...graph,
        release: async () => {
          await graph.release();
          this.#released(thread);
        },
      };
    } catch (error) {
      this.#released(thread);
      throw error;
    }
  }

  #released(thread: WorkerThread): void {
    if (thread !== this.#thread) return;
    this.#graphs--;
    if (this.#graphs > 0) return;
    setTimeout(() => {
      if (this.#graphs > 0 || thread !== this.#thread) return;
      thread.stop();
      this.#thread = undefined;
    }, LINGER_MS).unref();
  }
}
