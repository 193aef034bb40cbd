/** @file The runtime port on onnxruntime-node in this thread. The only file that imports it. */

import * as ort from 'onnxruntime-node';
import { createRequire } from 'node:module';
import type { Engine, LoadedGraph, NativeOptions } from './engine.ts';
import { BoundFeeds } from './boundFeeds.ts';
import { openSession } from './providers/providerSession.ts';
import {
  identityModel,
  type OrtFeeds,
  type OrtModule,
  type ResidentTensors,
  residentTensors,
} from './residentTensors.ts';
import type { Runtime, Session, SessionOptions, SessionSource } from './session.ts';
import type { DataType, Feeds, Tensor, TensorData } from './tensor.ts';

/** Providers that onnxruntime-node's build for this platform has. */
export function builtProviders(): readonly string[] {
  return ort.listSupportedBackends().map(({ name }) => name);
}

/** Version of onnxruntime-node. */
export function ortVersion(): string {
  return ort.env.versions.node ?? ort.env.versions.common;
}

/** The file to require for onnxruntime-node, as this file would. */
export function ortFile(): string {
  return createRequire(import.meta.url).resolve('onnxruntime-node');
}

/**
 * ONNX Runtime in this thread: nothing else happens here while a run computes. For training, scripts and measurements;
 * {@link WorkerRuntime} leaves the thread free.
 */
export class OrtRuntime implements Runtime {
  readonly #engine: Engine = {
    built: builtProviders(),
    load: async (model, options) =>
      new NativeGraph(
        await ort.InferenceSession.create(model, options as ort.InferenceSession.SessionOptions),
        options,
      ),
  };

  /**
   * Loads a graph.
   *
   * @throws OnnxLoraError `PROVIDER_UNAVAILABLE` when the provider asked for is not on this machine
   * @throws OnnxLoraError `RUNTIME_FAILED` when ONNX Runtime refuses the graph
   */
  createSession(source: SessionSource, options: SessionOptions = {}): Promise<Session> {
    return openSession(this.#engine, source, options);
  }
}

type NativeFeeds = Record<string, ort.Tensor>;

class NativeGraph implements LoadedGraph {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  readonly #session: ort.InferenceSession;
  readonly #resident: ResidentTensors<BoundFeeds> | undefined;

  constructor(session: ort.InferenceSession, options: NativeOptions) {
    this.#session = session;
    if (options.executionProviders[0] === 'webgpu') {
      this.#resident = residentTensors(ort as unknown as OrtModule, Buffer.from(identityModel, 'base64'), options);
      residents.add(this.#resident);
    }
    this.inputNames = session.inputNames;
    this.outputNames = session.outputNames;
  }

  async run(feeds: Feeds, bound: readonly BoundFeeds[], fetches?: readonly string[]): Promise<Record<string, Tensor>> {
    const held = await Promise.all(
      bound.map(async (each) => this.#resident?.of(each, tensorsOf(each)) ?? tensorsOf(each)),
    );
    const native = Object.assign(toNative(feeds, this.inputNames), ...held) as NativeFeeds;
    const outputs = await (fetches ? this.#session.run(native, [...fetches]) : this.#session.run(native));
    return Object.fromEntries(
      Object.entries(outputs).map(([name, output]) => [name, fromNative(output as ort.Tensor)]),
    );
  }

  bind(feeds: Feeds): BoundFeeds {
    const bound = new BoundFeeds(Object.keys(feeds), () => {
      boundTensors.delete(bound);
      for (const resident of residents) resident.drop(bound);
    });
    boundTensors.set(bound, toNative(feeds, Object.keys(feeds)) as unknown as OrtFeeds);
    return bound;
  }

  endProfiling(): Promise<void> {
    this.#session.endProfiling();
    return Promise.resolve();
  }

  async release(): Promise<void> {
    if (this.#resident) {
      residents.delete(this.#resident);
      await this.#resident.release();
    }
    await this.#session.release();
  }
}

const boundTensors = new WeakMap<BoundFeeds, OrtFeeds>();
/** The bound tensors of each graph that runs on a GPU. */
const residents = new Set<ResidentTensors<BoundFeeds>>();

function tensorsOf(bound: BoundFeeds): OrtFeeds {
  return boundTensors.get(bound) ?? {};
}

function toNative(feeds: Feeds, names: readonly string[]): NativeFeeds {
  const native: NativeFeeds = {};
  for (const name of names) {
    const tensor = feeds[name];
    if (tensor) native[name] = new ort.Tensor(tensor.type as 'float32', tensor.data as Float32Array, tensor.dims);
  }
  return native;
}

function fromNative(output: ort.Tensor): Tensor {
  return { type: output.type as DataType, dims: output.dims, data: output.data as unknown as TensorData };
}
