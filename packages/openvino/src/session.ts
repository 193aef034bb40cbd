/** @file A session on OpenVINO: compiled for the sizes of its feeds, and verified before its numbers are used. */

import { type Feeds, OnnxLoraError, type Session, type Tensor } from '@onnx-lora/sdk';
import { type ProviderReport, RunQueue, type RunOptions } from '@onnx-lora/sdk/plugin';
import { arrayOf } from '@onnx-lora/sdk/tasks';
import { type Api, elementType, type Handle } from './api.ts';
import type { Reference } from './reference.ts';
import type { InputShapes } from './modelFile.ts';

/** Parts of a session. */
export interface SessionParts {
  readonly api: Api;
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  /** Reads the graph with these sizes of its inputs. */
  readonly read: (shapes: InputShapes) => Promise<Handle>;
  /** `CPU`, `GPU` or `NPU`. */
  readonly device: string;
  /** Properties of the compilation. */
  readonly properties: Readonly<Record<string, string>>;
  /** Number of operators of the graph. */
  readonly operators: number;
  /** The model's name in messages. */
  readonly name: string;
  /** The provider's name. */
  readonly provider: string;
  /** Most waiting runs. */
  readonly maxQueue?: number | undefined;
  /** ONNX Runtime's outputs for such feeds; undefined to trust the compiled graph. */
  readonly reference: (feeds: Feeds) => Promise<Reference | undefined>;
}

interface Compiled {
  readonly shapes: InputShapes;
  readonly compiled: Handle;
  readonly request: Handle;
}

/** Runs in turn, in a thread of OpenVINO. */
export class OpenvinoSession implements Session {
  readonly provider: string;
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  readonly #parts: SessionParts;
  readonly #queue: RunQueue;
  /** By the dimensions of the inputs: one adapter for all rows is a scalar, one for each row a vector. */
  readonly #compiled = new Map<string, Compiled>();

  constructor(parts: SessionParts) {
    const { provider, name, maxQueue } = parts;
    this.#parts = parts;
    this.#queue = new RunQueue(name, maxQueue);
    this.provider = provider;
    this.inputNames = parts.inputNames;
    this.outputNames = parts.outputNames;
  }

  run(
    feeds: Feeds,
    fetches: readonly string[] = this.outputNames,
    { signal }: RunOptions = {},
  ): Promise<Record<string, Tensor>> {
    return this.#queue.add(async () => owned(await this.#run(feeds, fetches)), { signal });
  }

  /** As `run`, but the outputs are in the library's memory, which the next run overwrites and `release` frees. */
  lend(feeds: Feeds): Promise<Record<string, Tensor>> {
    return this.#queue.add(() => this.#run(feeds, this.outputNames));
  }

  /** Operators of the graph, all of them here; OpenVINO fuses some. */
  providerReport(): Promise<ProviderReport> {
    const { provider } = this;
    return Promise.resolve({ provider, nodes: { [provider]: this.#parts.operators }, fallenBack: [] });
  }

  async release(): Promise<void> {
    await this.#queue.close();
    for (const ranks of this.#compiled.keys()) this.#drop(ranks);
  }

  async #run(feeds: Feeds, fetches: readonly string[]): Promise<Record<string, Tensor>> {
    const missing = this.inputNames.find((each) => !(each in feeds));
    if (missing !== undefined)
      throw new OnnxLoraError('INPUT_INVALID', `The input "${missing}" of "${this.#parts.name}" is missing.`);
    return this.#infer(await this.#compiledFor(feeds), feeds, fetches);
  }

  /**
   * The graph for these sizes. The first feeds decide all sizes, since OpenVINO plans such a graph best; a size that is
   * another later becomes dynamic.
   */
  async #compiledFor(feeds: Feeds): Promise<Compiled> {
    const { api, read, device, properties, name, reference } = this.#parts;
    const ranks = this.inputNames.map((each) => feeds[each]!.dims.length).join();
    const before = this.#compiled.get(ranks);
    const known = before?.shapes;
    if (before && this.inputNames.every((each) => fits(known!.get(each)!, feeds[each]!.dims))) return before;
    const shapes = new Map(this.inputNames.map((each) => [each, merged(known?.get(each), feeds[each]!.dims)]));
    this.#drop(ranks);
    try {
      // First, so that two engines never hold the weights at once.
      const expected = await reference(feeds);
      api.trim();
      const model = await read(shapes);
      const compiled = await api.compile(model, device, properties).finally(() => api.free('model', model));
      const made = { shapes, compiled, request: api.request(compiled) };
      this.#compiled.set(ranks, made);
      expected?.compare(await this.#infer(made, expected.feeds, this.outputNames));
      api.trim();
      return made;
    } catch (cause) {
      this.#drop(ranks);
      throw failed('cannot compile', name, cause);
    }
  }

  async #infer({ request }: Compiled, feeds: Feeds, fetches: readonly string[]): Promise<Record<string, Tensor>> {
    const { api, name } = this.#parts;
    const tensors: Handle[] = [];
    try {
      for (const each of this.inputNames) {
        const { type, dims, data } = feeds[each]!;
        const tensor = api.tensor(elementType[type], dims, data);
        tensors.push(tensor);
        api.setTensor(request, each, tensor);
      }
      await api.infer(request);
      return Object.fromEntries(fetches.map((each) => [each, this.#output(request, each)]));
    } catch (cause) {
      throw failed('failed on', name, cause);
    } finally {
      for (const tensor of tensors) api.free('tensor', tensor);
    }
  }

  #output(request: Handle, name: string): Tensor {
    const { type, dims, bytes } = this.#parts.api.output(request, name);
    const Data = arrayOf(type);
    return { type, dims, data: new Data(bytes) };
  }

  #drop(ranks: string): void {
    const { api } = this.#parts;
    const old = this.#compiled.get(ranks);
    if (!old) return;
    api.free('infer_request', old.request);
    api.free('compiled_model', old.compiled);
    this.#compiled.delete(ranks);
  }
}

/** Copies of tensors in the library's memory. */
export function owned(lent: Readonly<Record<string, Tensor>>): Record<string, Tensor> {
  return Object.fromEntries(
    Object.entries(lent).map(([name, { type, dims, data }]) => [name, { type, dims, data: data.slice() }]),
  );
}

/** Whether these sizes are among those of a shape of as many dimensions. */
function fits(shape: readonly number[], dims: readonly number[]): boolean {
  return shape.every((size, i) => size === -1 || size === dims[i]);
}

/** A shape with -1 where the sizes are others. */
function merged(shape: readonly number[] | undefined, dims: readonly number[]): readonly number[] {
  return shape === undefined ? dims : dims.map((size, i) => (shape[i] === size ? size : -1));
}

/** The error of the library, by the last line of its message, which has the reason. */
export function failed(what: string, name: string, cause: unknown): OnnxLoraError {
  if (cause instanceof OnnxLoraError) return cause;
  const lines = (cause as Error).message.split('\n').map((line) => line.trim());
  const reason = lines.filter((line) => line !== '').at(-1) ?? 'for no reason that it says';
  return new OnnxLoraError('RUNTIME_FAILED', `OpenVINO ${what} "${name}": ${reason.replace(/[.\s]+$/, '')}.`, {
    cause,
  });
}
