/** @file The runtime port on OpenVINO. */

import { type Runtime, type Session, WorkerRuntime } from '@onnx-lora/sdk';
import { inferGraph, type ModelProto, type SessionOptions, type SessionSource } from '@onnx-lora/sdk/plugin';
import { CONTRIB, decodeModel, encodeModel, expandOperators, memorySource } from '@onnx-lora/sdk/core';
import { type Api, loadApi } from './api.ts';
import { findLibrary } from './library.ts';
import { withModelFile } from './modelFile.ts';
import { withOwnConstants } from './ownConstants.ts';
import { partsOf } from './parts.ts';
import { PartsSession, type RunnablePart } from './partsSession.ts';
import { failed, OpenvinoSession } from './session.ts';
import { referenceOn } from './reference.ts';

/**
 * OpenVINO's name of each arithmetic, and how far its results may be from ONNX Runtime's in float32, relative to their
 * norm. Rounding to bfloat16 leaves an answer within 0.1 (a cosine of 0.995), but a gradient is a small difference of large
 * numbers in some batches: the residual of a regression that is nearly right. There a gradient was up to 0.21 off in trainings
 * that end as float32's do, and a fault is off by 1 and more.
 */
const arithmetics = {
  float32: { hint: 'f32', inference: 1e-3, training: 1e-3 },
  bfloat16: { hint: 'bf16', inference: 0.1, training: 0.5 },
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
    const { hint, ...usual } = arithmetics[arithmetic];
    const properties: Readonly<Record<string, string>> = {
      INFERENCE_PRECISION_HINT: hint,
      NUM_STREAMS: '1',
      ...(device === 'CPU' && cpuProperties(threads)),
    };
    const accepted = (typeof verify === 'object' ? verify.tolerance : undefined) ?? usual[purpose ?? 'inference'];
    const sessionOf = async (part: SessionSource, model: ModelProto): Promise<Session> => {
      const { graph, inputNames, outputNames } = await convertible(model, async (form) => {
        const graph =
          purpose === 'training' ? await withOwnConstants(form, part.folder, arithmetic === 'float32' ? 2 : 3) : form;
        const made = await withModelFile(part, graph, new Map(), (file) => api.readModel(file));
        const names = { inputNames: api.names(made, 'input'), outputNames: api.names(made, 'output') };
        api.free('model', made);
        return { graph, ...names };
      });
      return new OpenvinoSession({
        api,
        inputNames,
        outputNames,
        read: (shapes) => withModelFile(part, graph, shapes, (file) => api.readModel(file)),
        device,
        properties,
        provider,
        maxQueue,
        name: part.name,
        operators: graph.graph?.node?.length ?? 0,
        reference: async (feeds) =>
          verify === false ? undefined : referenceOn({ source: part, options, tolerance: accepted }, feeds),
      });
    };
    try {
      const model = decodeModel(memorySource(source.bytes), source.name);
      const parts = partsOf(model);
      if (parts.length === 1) return await sessionOf(source, model);
      const opened: RunnablePart[] = [];
      // The whole graph's form for the CPU is not that of a part.
      const { onCpu: _, ...place } = source;
      for (const { engine, model: part } of parts) {
        const own = { ...place, bytes: Buffer.concat(encodeModel(part) as Uint8Array[]) };
        const session =
          engine === 'openvino'
            ? await sessionOf(own, part)
            : await new WorkerRuntime().createSession(own, { ...options, provider: 'cpu', verify: false });
        opened.push({ session, model: part });
      }
      return new PartsSession({ name: source.name, provider, maxQueue, parts: opened, ...namesOf(model) });
    } catch (cause) {
      throw failed('cannot load', source.name, cause);
    }
  }
}

/** The form of a graph that OpenVINO converts: with standard operators where it lacks one of ONNX Runtime's own. */
async function convertible<T>(model: ModelProto, convert: (form: ModelProto) => Promise<T>): Promise<T> {
  try {
    return await convert(model);
  } catch (cause) {
    const { message } = cause as Error;
    const graph = model.graph ?? {};
    const plain = expandOperators(
      { ...model, graph },
      inferGraph(model),
      ({ domain, opType = '' }) => domain === CONTRIB && message.includes(opType),
    );
    if (plain.graph.node?.length === graph.node?.length) throw cause;
    return convert(plain);
  }
}

function namesOf({ graph }: ModelProto): { readonly inputNames: string[]; readonly outputNames: string[] } {
  const held = new Set(graph?.initializer?.map(({ name }) => name));
  return {
    inputNames: (graph?.input ?? []).map(({ name }) => name!).filter((name) => !held.has(name)),
    outputNames: (graph?.output ?? []).map(({ name }) => name!),
  };
}
