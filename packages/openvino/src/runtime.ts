/** @file The runtime port on OpenVINO. */

import type { Runtime, Session } from '@onnx-lora/sdk';
import type { SessionOptions, SessionSource } from '@onnx-lora/sdk/plugin';
import { decodeModel, memorySource } from '@onnx-lora/sdk/core';
import { type Api, type Handle, loadApi } from './api.ts';
import { findLibrary } from './library.ts';
import { type InputShapes, withModelFile } from './modelFile.ts';
import { withOwnConstants } from './ownConstants.ts';
import { failed, OpenvinoSession } from './session.ts';
import { referenceOn } from './reference.ts';

/**
 * OpenVINO's name of each arithmetic, and how far its results may be from ONNX Runtime's in float32, relative to their
 * norm: for bfloat16 as for int8, a cosine of 0.995.
 */
const arithmetics = {
  float32: { hint: 'f32', tolerance: 1e-3 },
  bfloat16: { hint: 'bf16', tolerance: 0.1 },
} as const;

/** Options of {@link OpenvinoRuntime}. */
export interface OpenvinoOptions {
  /** The provider's name; `openvino` by default. */
  readonly name?: string;
  /** `CPU` by default, `GPU` or `NPU`. */
  readonly device?: string;
  /** The library's path; found by {@link findLibrary} by default. */
  readonly library?: string;
}

/**
 * Without snippets, OpenVINO's generated kernels: fusing two linear layers with a GELU between them ends the process with a
 * segmentation fault for batches of 4 and 8 (2026.4.1), and a training step of ViT-S takes a tenth longer.
 */
function cpuProperties(threads: number | undefined): Record<string, string> {
  return { SNIPPETS_MODE: 'DISABLE', ...(threads !== undefined && { INFERENCE_NUM_THREADS: String(threads) }) };
}

const apis = new Map<string, Api>();

/** OpenVINO as a runtime. Runs do not block the calling thread. */
export class OpenvinoRuntime implements Runtime {
  readonly #options: OpenvinoOptions;

  /** A runtime on one device. */
  constructor(options: OpenvinoOptions = {}) {
    this.#options = options;
  }

  /**
   * Loads a graph; it is compiled at the first run, whose results are held against ONNX Runtime's.
   * @throws OnnxLoraError `PROVIDER_UNAVAILABLE` without the library or the device; `RUNTIME_FAILED` with the operators
   *   that OpenVINO lacks
   */
  async createSession(source: SessionSource, options: SessionOptions = {}): Promise<Session> {
    const { name: provider = 'openvino', device = 'CPU', library = findLibrary() } = this.#options;
    const api = apis.get(library) ?? loadApi(library);
    apis.set(library, api);
    api.requireDevice(device);
    const { arithmetic = 'float32', threads, purpose, maxQueue, verify } = options;
    const { hint, tolerance } = arithmetics[arithmetic];
    const properties: Readonly<Record<string, string>> = {
      INFERENCE_PRECISION_HINT: hint,
      NUM_STREAMS: '1',
      ...(device === 'CPU' && cpuProperties(threads)),
    };
    const decoded = decodeModel(memorySource(source.bytes), source.name);
    const graph =
      purpose === 'training'
        ? await withOwnConstants(decoded, source.folder, arithmetic === 'float32' ? 2 : 3)
        : decoded;
    const read = (shapes: InputShapes): Promise<Handle> =>
      withModelFile(source, graph, shapes, (file) => api.readModel(file));
    try {
      // Names the operators that are missing, before any work.
      const model = await read(new Map());
      const [inputNames, outputNames] = [api.names(model, 'input'), api.names(model, 'output')];
      api.free('model', model);
      const accepted = (typeof verify === 'object' ? verify.tolerance : undefined) ?? tolerance;
      return new OpenvinoSession({
        api,
        inputNames,
        outputNames,
        read,
        device,
        properties,
        provider,
        maxQueue,
        name: source.name,
        reference: async (feeds) =>
          verify === false ? undefined : referenceOn({ source, options, tolerance: accepted }, feeds),
      });
    } catch (cause) {
      throw failed('cannot load', source.name, cause);
    }
  }
}
