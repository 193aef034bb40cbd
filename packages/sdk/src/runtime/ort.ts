/** @file The runtime port on onnxruntime-node, the only file that imports it. */

import * as ort from 'onnxruntime-node';
import { OnnxLoraError } from '../errors.ts';
import type { Provider, Runtime, Session, SessionOptions, SessionSource } from './session.ts';
import type { DataType, Feeds, Tensor, TensorData } from './tensor.ts';

type ConcreteProvider = Exclude<Provider, 'auto'>;

/** ONNX Runtime in this process. */
export class OrtRuntime implements Runtime {
  /**
   * Loads a graph.
   *
   * @throws OnnxLoraError `PROVIDER_UNAVAILABLE` when the provider asked for is not on this machine
   * @throws OnnxLoraError `RUNTIME_FAILED` when ONNX Runtime refuses the graph
   */
  async createSession(source: SessionSource, options: SessionOptions = {}): Promise<Session> {
    const wanted = options.provider ?? 'auto';
    const tries = wanted === 'auto' ? automaticProviders() : [wanted];
    let failure: unknown;
    for (const provider of tries) {
      try {
        const session = await ort.InferenceSession.create(source.bytes, sessionOptions(source, options, provider));
        return new OrtSession(session, provider, source.name);
      } catch (error) {
        failure = error;
      }
    }
    throw creationError(source.name, wanted, failure);
  }
}

/**
 * Providers that `auto` tries, best first. WebGPU is left to those who ask for it: on a machine without a GPU it runs on a
 * software rasterizer, far slower than the CPU provider.
 */
function automaticProviders(): ConcreteProvider[] {
  const bundled = ort.listSupportedBackends().filter((backend) => backend.bundled);
  const has = (name: string): boolean => bundled.some((backend) => backend.name === name);
  return [...(has('cuda') ? (['cuda'] as const) : []), ...(has('dml') ? (['dml'] as const) : []), 'cpu'];
}

function sessionOptions(
  source: SessionSource,
  options: SessionOptions,
  provider: ConcreteProvider,
): ort.InferenceSession.SessionOptions {
  const training = options.purpose === 'training';
  const extra: Record<string, string> = {};
  if (source.folder !== undefined) extra['session.model_external_initializers_file_folder_path'] = source.folder;
  // Prepacking copies every weight once for each product that reads it, and a frozen weight is read twice.
  if (training && process.env['NOPREPACK']) extra['session.disable_prepacking'] = '1';
  return {
    executionProviders: [provider],
    graphOptimizationLevel: 'all',
    // The pattern planner doubles the peak of a fixed-shape training loop.
    enableMemPattern: !training,
    logSeverityLevel: 3,
    ...(options.threads === undefined ? {} : { intraOpNumThreads: options.threads }),
    extra,
  };
}

function creationError(name: string, wanted: Provider, cause: unknown): OnnxLoraError {
  const reason = (cause instanceof Error ? cause.message : String(cause)).split('\n')[0];
  const isProvider =
    wanted !== 'auto' && wanted !== 'cpu' && /backend|provider|adapter|device|library|GPU/i.test(reason ?? '');
  return isProvider
    ? new OnnxLoraError(
        'PROVIDER_UNAVAILABLE',
        `The provider "${wanted}" does not work on this machine: ${reason} Use another provider (cpu always works); docs/guides/providers.md tells what each needs.`,
        { cause },
      )
    : new OnnxLoraError('RUNTIME_FAILED', `ONNX Runtime cannot load "${name}": ${reason}`, { cause });
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
      const reason = (cause as Error).message.split('\n')[0];
      throw new OnnxLoraError('RUNTIME_FAILED', `ONNX Runtime failed on "${this.#name}": ${reason}`, { cause });
    }
  }

  async release(): Promise<void> {
    await this.#session.release();
  }
}

function fromNative(output: ort.Tensor): Tensor {
  return { type: output.type as DataType, dims: output.dims, data: output.data as unknown as TensorData };
}
