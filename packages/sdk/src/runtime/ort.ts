/** @file The runtime port on ONNX Runtime in this thread. */

import { fromBase64 } from '../platform/bytes.ts';
import { builtProviders, ort } from '../platform/engine.ts';
import type { Engine } from './engine.ts';
import { GraphClient } from './worker/graphClient.ts';
import { openSession } from './providers/providerSession.ts';
import { identityModel, type OrtModule, residentTensors } from './residentTensors.ts';
import type { Runtime, Session, SessionOptions, SessionSource } from './session.ts';
import { BUSY, serveGraphs, STOPPING, type WorkerAnswer, type WorkerRequest } from './worker/workerProgram.ts';

/** ONNX Runtime in this thread, which runs block; {@link WorkerRuntime} does not. For training and scripts. */
export class OrtRuntime implements Runtime {
  /** Loads a graph. @throws OnnxLoraError `PROVIDER_UNAVAILABLE`, `RUNTIME_FAILED` if ONNX Runtime refuses it */
  createSession(source: SessionSource, options: SessionOptions = {}): Promise<Session> {
    return openSession((here ??= engineHere()), source, options);
  }
}

let here: Engine | undefined;

function engineHere(): Engine {
  let request: (request: WorkerRequest) => void;
  const client = new GraphClient({ post: (each) => request(each) });
  const port = {
    on: (_: 'message', listener: (request: WorkerRequest) => void) => void (request = listener),
    postMessage: (answer: WorkerAnswer) => client.answered(answer),
    close: () => undefined,
  };
  const shared = { state: new Int32Array(2), identity: fromBase64(identityModel) };
  const places = { busyPlace: BUSY, stoppingPlace: STOPPING };
  serveGraphs(ort as unknown as OrtModule, port, shared, places, residentTensors);
  return { built: builtProviders(), load: (model, options) => client.load(model, options) };
}
