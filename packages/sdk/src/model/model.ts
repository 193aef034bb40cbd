/** @file An opened model: what it holds, what of it can be adapted, and sessions that run it. */

import { OnnxLoraError } from '../errors.ts';
import { byteLength } from '../graph/bytes.ts';
import { weightsDigest } from '../graph/digest.ts';
import type { OnnxFile } from '../graph/onnxFile.ts';
import type { ValueInfoProto } from '../graph/proto.ts';
import { rawBytes } from '../graph/tensorData.ts';
import type { ValueType } from '../graph/value.ts';
import { dataTypeName } from '../graph/dataType.ts';
import { findSites, type Site, type SiteKind } from '../match/sites.ts';
import type { PathSource } from '../match/modulePath.ts';
import { declaredType, inferGraph, opsetOf } from '../ops/inferGraph.ts';
import type { Adapter } from '../adapter/adapter.ts';
import { type PlacedAdapter, placeAdapter } from '../adapter/place.ts';
import { AdapterSession } from '../adapter/session.ts';
import type { ModelFamily } from '../plugin/family.ts';
import type { GraphPort, TaskModel } from '../plugin/task.ts';
import type { Runtime, SessionOptions } from '../runtime/session.ts';
import { sizeOf } from '../runtime/tensor.ts';

/** What `model.modules()` says of one adaptable layer. */
export interface ModuleInfo {
  /** torch's module path, against which target rules are matched. */
  readonly path: string;
  readonly kind: SiteKind;
  /** As torch has it: Linear `[out, in]`, Conv `[out, in / groups, ...kernel]`, Embedding `[vocabulary, dim]`. */
  readonly weightShape: readonly number[];
  readonly bias: boolean;
  /** How many numbers the weight and bias hold. */
  readonly parameters: number;
  /** Name of the ONNX node. */
  readonly node: string;
  /** What the path was read from; a `value-name` is not a torch path at all. */
  readonly pathSource: PathSource;
}

/** What a model is made of. */
export interface ModelParts {
  readonly name: string;
  readonly onnx: OnnxFile;
  readonly folder?: string;
  readonly config?: Readonly<Record<string, unknown>>;
  readonly families: readonly ModelFamily[];
  readonly runtime: Runtime;
}

/** Options of `model.session`. */
export interface ModelSessionOptions extends Omit<SessionOptions, 'purpose'> {
  /** Adapters by the name that `session.run` chooses them by. */
  readonly adapters?: Readonly<Record<string, Adapter>>;
  /** Accept adapters that say they were trained on other weights. */
  readonly allowBaseMismatch?: boolean;
}

/** An opened ONNX model. Holds the graph's structure; weights stay in the user's files. */
export class Model implements TaskModel {
  /** What the user called it: a folder, a file or a hub id. */
  readonly name: string;
  /** Path of the .onnx file. */
  readonly file: string;
  /** Folder with config.json and the preprocessor's file, where there is one. */
  declare readonly folder?: string;
  /** `config.json`, parsed, where there is one. */
  declare readonly config?: Readonly<Record<string, unknown>>;
  /** The family that recognised it, where one did. */
  declare readonly family?: ModelFamily;
  readonly inputs: Readonly<Record<string, GraphPort>>;
  readonly outputs: Readonly<Record<string, GraphPort>>;
  /** Version of the standard operator set. */
  readonly opset: number;
  /** The program that wrote the file, such as `pytorch 2.9`. */
  readonly producer: string;
  readonly #onnx: OnnxFile;
  readonly #runtime: Runtime;
  #sites: readonly Site[] | undefined;
  #types: ReadonlyMap<string, ValueType> | undefined;
  #digest: string | undefined;

  constructor({ name, onnx, folder, config, families, runtime }: ModelParts) {
    const { graph } = onnx.model;
    this.name = name;
    this.file = onnx.path;
    this.#onnx = onnx;
    this.#runtime = runtime;
    const initializers = new Set((graph.initializer ?? []).map((tensor) => tensor.name));
    this.inputs = ports((graph.input ?? []).filter((info) => !initializers.has(info.name)));
    this.outputs = ports(graph.output ?? []);
    this.opset = opsetOf(onnx.model);
    this.producer = [onnx.model.producerName, onnx.model.producerVersion].filter(Boolean).join(' ') || 'unknown';
    if (folder !== undefined) this.folder = folder;
    if (config !== undefined) this.config = config;
    const facts = { ...(config ? { config } : {}), modulePaths: this.sites().map(({ path }) => path) };
    const family = families.find((each) => each.recognise(facts));
    if (family) this.family = family;
  }

  /** How many numbers all weights hold. */
  get parameterCount(): number {
    const weights = (this.#onnx.model.graph.initializer ?? []).filter(
      ({ dataType }) => dataTypeName(dataType)?.startsWith('float') ?? false,
    );
    return weights.reduce((sum, tensor) => sum + sizeOf(tensor.dims ?? []), 0);
  }

  /** Bytes that all weights take. */
  get weightBytes(): number {
    return (this.#onnx.model.graph.initializer ?? []).reduce(
      (sum, tensor) => sum + byteLength(rawBytes(tensor) ?? new Uint8Array()),
      0,
    );
  }

  /** How many nodes the main graph has. */
  get nodeCount(): number {
    return this.#onnx.model.graph.node?.length ?? 0;
  }

  /** What can be adapted, in graph order. */
  modules(): readonly ModuleInfo[] {
    return this.sites().map(({ path, kind, weightShape, bias, node, pathSource }) => ({
      path,
      kind,
      weightShape,
      bias: bias !== undefined,
      parameters: sizeOf(weightShape) + (bias ? sizeOf(bias.tensor.dims ?? []) : 0),
      node: node.name ?? '',
      pathSource,
    }));
  }

  /** sha256 of the model's weights, by which adapters know their base. Reads every weight once. */
  digest(): Promise<string> {
    this.#digest ??= weightsDigest(this.#onnx.model.graph);
    return Promise.resolve(this.#digest);
  }

  /**
   * Loads the model for inference, with places for these adapters.
   *
   * @throws OnnxLoraError `ADAPTER_MISMATCH` for an adapter of another base, `PROVIDER_UNAVAILABLE`, `RUNTIME_FAILED`
   */
  async session({
    adapters = {},
    allowBaseMismatch = false,
    ...options
  }: ModelSessionOptions = {}): Promise<AdapterSession> {
    const placed: Record<string, PlacedAdapter> = {};
    for (const [name, adapter] of Object.entries(adapters))
      placed[name] = await this.place(adapter, { allowBaseMismatch });
    return AdapterSession.create({
      base: this.onnx.model,
      types: this.types(),
      adapters: placed,
      runtime: this.#runtime,
      options,
      name: this.name,
    });
  }

  /**
   * Finds the place of each of an adapter's tensors, and checks that it was trained on these weights.
   *
   * @throws OnnxLoraError `ADAPTER_MISMATCH`
   */
  async place(
    adapter: Adapter,
    { allowBaseMismatch = false }: { readonly allowBaseMismatch?: boolean } = {},
  ): Promise<PlacedAdapter> {
    const placed = placeAdapter(adapter, this.#onnx.model.graph, this.sites(), this.name);
    if (adapter.baseDigest !== undefined && !allowBaseMismatch && adapter.baseDigest !== (await this.digest())) {
      throw new OnnxLoraError(
        'ADAPTER_MISMATCH',
        `The adapter was trained on other weights than those of "${this.name}" (their sha256 is ${adapter.baseDigest.slice(0, 12)}…, this model's ${(await this.digest()).slice(0, 12)}…). Use the base that it was trained on, or allow the mismatch (allowBaseMismatch, --allow-base-mismatch) if you know that they are the same.`,
      );
    }
    return placed;
  }

  /** The opened file. For code that extends the SDK. */
  get onnx(): OnnxFile {
    return this.#onnx;
  }

  /** The runtime that sessions are made with. */
  get runtime(): Runtime {
    return this.#runtime;
  }

  /** The adaptable layers with their nodes. For code that extends the SDK. */
  sites(): readonly Site[] {
    this.#sites ??= findSites(this.#onnx.model.graph);
    return this.#sites;
  }

  /** Types and shapes of all values of the graph. For code that extends the SDK. */
  types(): ReadonlyMap<string, ValueType> {
    this.#types ??= inferGraph(this.#onnx.model);
    return this.#types;
  }
}

function ports(infos: readonly ValueInfoProto[]): Record<string, GraphPort> {
  return Object.fromEntries(
    infos.map((info) => {
      const { type, shape } = declaredType(info);
      return [info.name ?? '', { type: type ?? 'float32', dims: shape }];
    }),
  );
}
