/** @file The runtime port on onnxruntime-node in this thread; the only file that imports it. */

import * as ort from 'onnxruntime-node';
import { createRequire } from 'node:module';
import type { Engine } from './engine.ts';
import { GraphClient } from './worker/graphClient.ts';
import { openSession } from './providers/providerSession.ts';
import { identityModel, type OrtModule, residentTensors } from './residentTensors.ts';
import type { Runtime, Session, SessionOptions, SessionSource } from './session.ts';
import { BUSY, serveGraphs, STOPPING, type WorkerAnswer, type WorkerRequest } from './worker/workerProgram.ts';

/** Providers of onnxruntime-node's build for this platform. */
export function builtProviders(): readonly string[] {
  return ort.listSupportedBackends().map(({ name }) => name);
}

/** Version of onnxruntime-node. */
export function ortVersion(): string {
  return ort.env.versions.node ?? ort.env.versions.common;
}

/** The resolved path of onnxruntime-node. */
export function ortFile(): string {
  return createRequire(import.meta.url).resolve('onnxruntime-node');
}

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
  const shared = { state: new Int32Array(2), identity: Buffer.from(identityModel, 'base64') };
  const places = { busyPlace: BUSY, stoppingPlace: STOPPING };
  serveGraphs(ort as unknown as OrtModule, port, shared, places, residentTensors);
  return { built: builtProviders(), load: (model, options) => client.load(model, options) };
}
