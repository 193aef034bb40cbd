/** @file An opened model: what it holds, what of it can be adapted, and sessions that run it. */

import { OnnxLoraError } from '../errors.ts';
import { byteLength } from '../graph/bytes.ts';
import { weightsDigestInTurns } from '../graph/digest.ts';
import type { OnnxFile } from '../graph/onnxFile.ts';
import type { ValueInfoProto } from '../graph/proto.ts';
import { rawBytes } from '../graph/tensorData.ts';
import type { ValueType } from '../graph/value.ts';
import { dataTypeName } from '../graph/dataType.ts';
import { findSites, type Site, type SiteKind } from '../match/sites.ts';
import { confidenceOf, type PathConfidence, type PathSource } from '../match/modulePath.ts';
import { viewOf } from '../match/view.ts';
import { weightSize } from '../match/weights/stored.ts';
import { declaredType, inferGraph, opsetOf } from '../ops/inferGraph.ts';
import type { Adapter } from '../adapter/adapter.ts';
import type { AdapterSource } from '../adapter/adapterBank.ts';
import { adaptNames, modulesOf, tablesOf } from '../adapter/generations.ts';
import { prefixChange } from '../adapter/modulePrefix.ts';
import { parseTensorName } from '../adapter/tensorNames.ts';
import { baseChangingInit } from '../adapter/peftConfig.ts';
import { placeAdapter } from '../adapter/place.ts';
import type { PlacedAdapter } from '../adapter/placed.ts';
import { AdapterSession } from '../adapter/session.ts';
import type { ModelFamily } from '../plugin/family.ts';
import type { GraphPort, TaskModel } from '../plugin/task.ts';
import type { Runtime, SessionOptions } from '../runtime/session.ts';
import { sizeOf } from '../runtime/tensor.ts';
import { namedModules } from './namedModules.ts';
import { type ReservedModules, reservedPlaces } from './reservedPlaces.ts';

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
  /** Name of the ONNX tensor that holds the weight. */
  readonly weight: string;
  /** What the path was read from; a `value-name` is not a torch path at all. */
  readonly pathSource: PathSource;
  /** How sure the path is: `unknown` where the file has lost it. */
  readonly confidence: PathConfidence;
  /** How the weight is stored: `float32`, `float16`, `int8` … */
  readonly storage: string;
}

/** What a model is made of. */
export interface ModelParts {
  readonly name: string;
  readonly onnx: OnnxFile;
  readonly folder?: string;
  readonly config?: Readonly<Record<string, unknown>>;
  readonly families: readonly ModelFamily[];
  /**
   * Where an exporter folded a normalisation into a convolution's weight: by module path, the factor of each output,
   * γ ÷ √(σ² + ε).
   */
  readonly foldedScales?: Readonly<Record<string, Float32Array>>;
  /** What runs in this thread. */
  readonly runtime: Runtime;
  /** What training and `model.session` run on; `runtime` by default. */
  readonly sessionRuntime?: Runtime;
}

/** Options of `model.session`. */
export interface ModelSessionOptions extends Omit<SessionOptions, 'purpose'>, ReservedModules {
  /** Adapters by the name that `session.run` chooses them by. */
  readonly adapters?: Readonly<Record<string, Adapter>>;
  /** Accept adapters that say they were trained on other weights. */
  readonly allowBaseMismatch?: boolean;
  /** Where adapters come from that a run names and the session does not hold. */
  readonly adapterSource?: AdapterSource;
  /**
   * Whether runs compute in a worker thread, which leaves this one free; true by default, unless the model was opened with
   * a runtime of the user's.
   */
  readonly worker?: boolean;
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
  /** The file's graph as layers are found in it. */
  readonly #onnx: OnnxFile;
  readonly #file: OnnxFile;
  readonly #foldedScales: Readonly<Record<string, Float32Array>>;
  readonly #runtime: Runtime;
  readonly #sessionRuntime: Runtime;
  #sites: readonly Site[] | undefined;
  #modulePaths: readonly string[] | undefined;
  #types: ReadonlyMap<string, ValueType> | undefined;
  #digest: Promise<string> | undefined;
  readonly #warned = new WeakSet<Adapter>();

  constructor({
    name,
    onnx,
    folder,
    config,
    families,
    runtime,
    sessionRuntime = runtime,
    foldedScales = {},
  }: ModelParts) {
    const { graph } = onnx.model;
    this.name = name;
    this.file = onnx.path;
    this.#file = onnx;
    this.#onnx = { ...onnx, model: viewOf(onnx.model) };
    this.#foldedScales = foldedScales;
    this.#runtime = runtime;
    this.#sessionRuntime = sessionRuntime;
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
    return this.#file.model.graph.node?.length ?? 0;
  }

  /** What can be adapted, in graph order. */
  modules(): readonly ModuleInfo[] {
    return this.sites().map(({ path, kind, weightShape, weight, bias, node, pathSource }) => ({
      path,
      kind,
      weightShape,
      bias: bias !== undefined,
      parameters: sizeOf(weightShape) + (bias ? weightSize(bias.stored) : 0),
      node: node.name ?? '',
      weight: weight.stored.tensors[0].name,
      pathSource,
      confidence: confidenceOf(pathSource),
      storage: weight.stored.storage,
    }));
  }

  /** sha256 of the model's weights, by which adapters know their base. Reads every weight once. */
  digest(): Promise<string> {
    this.#digest ??= weightsDigestInTurns(this.#file.model.graph);
    return this.#digest;
  }

  /**
   * Loads the model for inference, with places for these adapters and for those that `targetModules` and `modulesToSave`
   * name.
   *
   * @throws OnnxLoraError `ADAPTER_MISMATCH` for an adapter of another base, `TARGET_NOT_FOUND` for a target that matches
   *   nothing, `PROVIDER_UNAVAILABLE`, `RUNTIME_FAILED`
   */
  async session({
    adapters = {},
    allowBaseMismatch = false,
    adapterSource,
    worker = true,
    targetModules,
    modulesToSave,
    useDora,
    ...options
  }: ModelSessionOptions = {}): Promise<AdapterSession> {
    const placed: Record<string, PlacedAdapter> = {};
    for (const [name, adapter] of Object.entries(adapters))
      placed[name] = await this.place(adapter, { allowBaseMismatch });
    const { name, family } = this;
    const { model } = this.onnx;
    const reserved = reservedPlaces(
      { name, ...(family ? { family } : {}), graph: model.graph, sites: this.sites() },
      {
        ...(targetModules === undefined ? {} : { targetModules }),
        ...(modulesToSave === undefined ? {} : { modulesToSave }),
        ...(useDora === undefined ? {} : { useDora }),
      },
    );
    return AdapterSession.create({
      base: model,
      types: this.types(),
      adapters: placed,
      reserved,
      source: adapterSource,
      place: (adapter, place) => this.place(adapter, { allowBaseMismatch, ...place }),
      runtime: worker ? this.#sessionRuntime : this.#runtime,
      options,
      name,
    });
  }

  /**
   * Finds the place of each of an adapter's tensors, and checks that it was trained on these weights. Where the family
   * knows the names of transformers 4 and 5, an adapter trained under either is placed, under the graph's names. What the
   * graph has no place for is the subject of a process warning.
   *
   * @throws OnnxLoraError `ADAPTER_MISMATCH`; `ADAPTER_INVALID` for an adapter that holds a module under both names
   */
  async place(
    adapter: Adapter,
    { allowBaseMismatch = false }: { readonly allowBaseMismatch?: boolean } = {},
  ): Promise<PlacedAdapter> {
    const { graph } = this.#onnx.model;
    this.#modulePaths ??= namedModules(graph, this.sites()).map(({ path }) => path);
    const prefix = prefixChange(modulesOf(adapter), this.#modulePaths, this.file);
    const { inAdapter, inGraph } = prefix;
    const paths = this.#modulePaths.map((path) => `${inAdapter}${path.slice(inGraph.length)}`);
    const named = adaptNames(adapter, paths, tablesOf(this));
    const placed = placeAdapter(named, graph, this.sites(), this.name, prefix);
    this.#warnOfUnused(adapter, placed.unused);
    const init = baseChangingInit(adapter.config);
    if (init !== undefined && !allowBaseMismatch) {
      throw new OnnxLoraError(
        'ADAPTER_MISMATCH',
        `The adapter counts from a base that its initialisation "${init}" has changed. Make it plain LoRA (toPlainLora; onnx-lora convert --plain-from), or allow the mismatch (allowBaseMismatch, --allow-base-mismatch) if "${this.name}" is that changed base.`,
      );
    }
    if (adapter.baseDigest !== undefined && !allowBaseMismatch && adapter.baseDigest !== (await this.digest())) {
      throw new OnnxLoraError(
        'ADAPTER_MISMATCH',
        `The adapter was trained on other weights than those of "${this.name}" (their sha256 is ${adapter.baseDigest.slice(0, 12)}…, this model's ${(await this.digest()).slice(0, 12)}…). Use the base that it was trained on, or allow the mismatch (allowBaseMismatch, --allow-base-mismatch) if you know that they are the same.`,
      );
    }
    return placed;
  }

  /** Says once for an adapter what of it has no effect: a graph may be a part of the model, or lack a folded module. */
  #warnOfUnused(adapter: Adapter, unused: readonly string[]): void {
    // Copies of the base are no part of what was trained.
    const parsed = unused.map((name) => parseTensorName(name)).filter(({ role }) => role !== 'base_layer.weight');
    const modules = [...new Set(parsed.map(({ module }) => module))];
    if (modules.length === 0 || this.#warned.has(adapter)) return;
    this.#warned.add(adapter);
    const few = modules.slice(0, 3).map((module) => `"${module}"`);
    const rest = modules.length > few.length ? ` and ${modules.length - few.length} more` : '';
    process.emitWarning(
      `The adapter changes modules that "${this.name}" does not hold, which has no effect here: ${few.join(', ')}${rest}.`,
      'OnnxLoraWarning',
    );
  }

  /**
   * The opened file, its graph as layers are found in it: functions inlined, fused operators with weights taken apart. For
   * code that extends the SDK.
   */
  get onnx(): OnnxFile {
    return this.#onnx;
  }

  /** The runtime in this thread. For code that extends the SDK. */
  get runtime(): Runtime {
    return this.#runtime;
  }

  /** The runtime in a worker thread, on which training and sessions run. For code that extends the SDK. */
  get workerRuntime(): Runtime {
    return this.#sessionRuntime;
  }

  /** The adaptable layers with their nodes. For code that extends the SDK. */
  sites(): readonly Site[] {
    this.#sites ??= findSites(this.#onnx.model.graph, {
      rankOf: (value) => this.types().get(value)?.shape?.length,
    }).map((site) => {
      const foldedScale = this.#foldedScales[site.path];
      if (!foldedScale) return site;
      return { ...site, foldedScale, alsoAt: site.alsoAt.map((place) => ({ ...place, foldedScale })) };
    });
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
