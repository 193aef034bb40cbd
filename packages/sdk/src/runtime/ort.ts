/** @file The runtime port on onnxruntime-node, the only file that imports it. */

import * as ort from 'onnxruntime-node';
import { OnnxLoraError } from '../errors.ts';
import { availability, type ConcreteProvider, providersToTry, providerFailed, reasonOf } from './providers.ts';
import type { Runtime, Session, SessionOptions, SessionSource } from './session.ts';
import type { DataType, Feeds, Tensor, TensorData } from './tensor.ts';

/** ONNX Runtime in this process. */
export class OrtRuntime implements Runtime {
  /**
   * Loads a graph.
   *
   * @throws OnnxLoraError `PROVIDER_UNAVAILABLE` when the provider asked for is not on this machine
   * @throws OnnxLoraError `RUNTIME_FAILED` when ONNX Runtime refuses the graph
   */
  async createSession(source: SessionSource, options: SessionOptions = {}): Promise<Session> {
    const built = ort.listSupportedBackends().map(({ name }) => name);
    const tries = providersToTry(options.provider ?? 'auto', availability(built));
    let failure: unknown;
    for (const provider of tries) {
      try {
        const session = await ort.InferenceSession.create(source.bytes, sessionOptions(source, options, provider));
        return new OrtSession(session, provider, source.name);
      } catch (error) {
        failure = error;
      }
    }
    const last = tries.at(-1)!;
    if (last !== 'cpu' && !(await starts(last))) throw providerFailed(last, failure);
    throw new OnnxLoraError('RUNTIME_FAILED', `ONNX Runtime cannot load "${source.name}": ${reasonOf(failure)}.`, {
      cause: failure,
    });
  }
}

/** y = Identity(x), as an ONNX file. */
const smallestModel = 'CAg6LwoQCgF4EgF5IghJZGVudGl0eRIBZ1oLCgF4EgYKBAgBEgBiCwoBeRIGCgQIARIAQgQKABAR';

/** Whether a provider can start at all: what its own error says differs between providers and versions. */
async function starts(provider: ConcreteProvider): Promise<boolean> {
  try {
    const session = await ort.InferenceSession.create(Buffer.from(smallestModel, 'base64'), {
      executionProviders: [provider],
      logSeverityLevel: 4,
    });
    await session.release();
    return true;
  } catch {
    return false;
  }
}

function sessionOptions(
  source: SessionSource,
  { purpose = 'inference', prepack = true, threads }: SessionOptions,
  provider: ConcreteProvider,
): ort.InferenceSession.SessionOptions {
  const training = purpose === 'training';
  const extra: Record<string, string> = {};
  if (source.folder !== undefined) extra['session.model_external_initializers_file_folder_path'] = source.folder;
  if (!prepack) extra['session.disable_prepacking'] = '1';
  if (training && provider === 'cpu') {
    // It would make MatMul and Add of a bias one Gemm, which is slower: 16.1 ms against 11.8 + 1.4 ms for
    // [1576, 384] × [384, 1536].
    extra['optimization.disable_specified_optimizers'] = 'MatMulAddFusion';
  }
  return {
    executionProviders: [provider],
    graphOptimizationLevel: 'all',
    // The pattern planner doubles the peak of a fixed-shape training loop.
    enableMemPattern: !training,
    logSeverityLevel: 3,
    ...(threads === undefined ? {} : { intraOpNumThreads: threads }),
    extra,
  };
}

class OrtSession implements Session {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  readonly provider: ConcreteProvider;
  readonly #session: ort.InferenceSession;
  readonly #name: string;

  constructor(session: ort.InferenceSession, provider: ConcreteProvider, name: string) {
    this.#session = session;
    this.#name = name;
    this.provider = provider;
    this.inputNames = session.inputNames;
    this.outputNames = session.outputNames;
  }

  async run(feeds: Feeds, fetches?: readonly string[]): Promise<Record<string, Tensor>> {
    const native: Record<string, ort.Tensor> = {};
    for (const name of this.inputNames) {
      const tensor = feeds[name];
      if (!tensor) {
        throw new OnnxLoraError(
          'INPUT_INVALID',
          `"${this.#name}" needs the input "${name}". It takes ${this.inputNames.join(', ')}; given were ${Object.keys(feeds).join(', ') || 'none'}.`,
        );
      }
      native[name] = new ort.Tensor(tensor.type as 'float32', tensor.data as Float32Array, tensor.dims);
    }
    try {
      const outputs = await (fetches ? this.#session.run(native, [...fetches]) : this.#session.run(native));
      return Object.fromEntries(
        Object.entries(outputs).map(([name, output]) => [name, fromNative(output as ort.Tensor)]),
      );
    } catch (cause) {
      throw new OnnxLoraError('RUNTIME_FAILED', `ONNX Runtime failed on "${this.#name}": ${reasonOf(cause)}.`, {
        cause,
      });
    }
  }

  async release(): Promise<void> {
    await this.#session.release();
  }
}

function fromNative(output: ort.Tensor): Tensor {
  return { type: output.type as DataType, dims: output.dims, data: output.data as unknown as TensorData };
}
