/** @file The graph of an opened model, its files' metadata, and its adaptable layers. */

import type { Adapter } from '../../adapter/adapter.ts';
import { type AdapterNotes, inputSizesSchema, quantizedSchema } from '../../adapter/storage/adapterNotes.ts';
import { parseForeignJson } from '../../adapter/formats/foreignJson.ts';
import { weightsDigestInSlices } from '../../graph/file/digest.ts';
import type { OnnxFile } from '../../graph/file/onnxFile.ts';
import { operatorName, withKnownOperators } from '../../graph/knownOperators.ts';
import type { GraphProto, ModelProto, ValueInfoProto } from '../../graph/proto.ts';
import type { ValueType } from '../../graph/value.ts';
import type { GraphEdge } from '../../graph/stopGradients.ts';
import { indexGraph, indexWhole } from '../../graph/walk.ts';
import type { NamedModule } from '../../lora/targets.ts';
import { almostFused } from '../../match/fusions.ts';
import type { NonMatch } from '../../match/mismatch.ts';
import { findParts, unsplitLayers, withParts } from '../../match/attention/fusedQkv.ts';
import { findSites, type Site } from '../../match/sites.ts';
import { occurrencesOf } from '../../match/site.ts';
import { findUnadaptable, type UnadaptableLayer } from '../../match/unadaptable.ts';
import { prepareForMatching } from '../../match/view.ts';
import { refuseFatalNodes } from '../../ops/fatalNodes.ts';
import { declaredType, inferGraph, opsetOf } from '../../ops/inferGraph.ts';
import type { BasePrecision } from '../../ops/precision/precision.ts';
import type { QuantizedFrom } from '../../ops/quantization/forms.ts';
import type { InputSizes } from '../../ops/rewrites/inputSizes.ts';
import { isObject, type JsonObject } from '../../data/modelFiles/configFields.ts';
import type { ModelFamily } from '../../plugin/families/family.ts';
import { noPlugins, type PluginRegistry } from '../../plugin/registry/loadPlugins.ts';
import type { GraphPort, HeadInput, InnerValue, LayerOutput, TaskModel } from '../../plugin/taskModel.ts';
import type { Runtime } from '../../runtime/session.ts';
import { logitsOf, lookupOf, slicedFrom, attentionBehind } from './innerValues.ts';
import { firstOfHead, headSites, layersBehind } from './headSites.ts';
import type { ModelFile } from './joinFiles.ts';
import { describeModule, type ModuleInfo, namedModules } from './namedModules.ts';
import { type WeightTotals, weightTotals } from './weightTotals.ts';

/** Changes for a derived model. The digest of the weights stays. */
export interface ModelChanges {
  /** The graph. */
  readonly model?: ModelProto & { readonly graph: GraphProto };
  /** Content of `config.json`. */
  readonly config?: JsonObject;
  /** The precision; as in the file by default. */
  readonly precision?: BasePrecision;
  /** Types of all values, if they cannot be inferred from the graph. */
  readonly types?: ReadonlyMap<string, ValueType>;
  /** Paths of heads with a dynamic number of outputs. */
  readonly openHeads?: ReadonlySet<string>;
  /** Notes about the new head for its adapters. */
  readonly notes?: AdapterNotes;
}

/** The constituents of a {@link ModelGraph}. */
export interface ModelGraphParts extends Omit<ModelChanges, 'model'> {
  /** The user's name for it. */
  readonly name: string;
  /** The graph, with weights still in the file. */
  readonly onnx: OnnxFile;
  /** Folder with config.json and the preprocessor's file. */
  readonly folder?: string;
  /** Families to recognise the model by, in order. */
  readonly families: readonly ModelFamily[];
  /** The plugins' contributions; none by default. */
  readonly registry?: PluginRegistry;
  /** For normalisations folded into convolution weights: each output's factor γ ÷ √(σ² + ε), by module path. */
  readonly foldedScales?: Readonly<Record<string, Float32Array>>;
  /** The files of a model of several, each reading only from earlier ones. */
  readonly files?: readonly ModelFile[];
  /** The model that it is derived from, with the same digest. */
  readonly origin?: ModelGraph;
  /** The runtime in this thread. */
  readonly runtime: Runtime;
  /** The runtime of training and `model.session`; `runtime` by default. */
  readonly sessionRuntime?: Runtime;
}

/** Key in a merged model's `config.json` for values learned by the task. */
export const LEARNED_KEY = 'onnx_lora';
/** Key in a merged model's `config.json` for the input sizes in training. */
export const INPUT_SIZES_KEY = 'onnx_lora_input_sizes';

/** Metadata key in a quantised file for its origin. */
export const QUANTIZED_KEY = 'onnx_lora.quantized';

/** The graph of an opened model, and its layers. Weights stay in the user's files. */
export abstract class ModelGraph implements TaskModel {
  readonly name: string;
  /** Path of the .onnx file; for a model of several files their folder. */
  readonly file: string;
  /** Paths of the model's .onnx files. */
  readonly files: readonly string[];
  declare readonly folder?: string;
  declare readonly config?: JsonObject;
  /** The precision of products with weights, if it differs from the file's. */
  declare readonly precision?: BasePrecision;
  /** Contributions of the plugins. */
  readonly registry: PluginRegistry;
  /** The family that recognised the model. */
  declare readonly family?: ModelFamily;
  readonly inputs: Readonly<Record<string, GraphPort>>;
  readonly outputs: Readonly<Record<string, GraphPort>>;
  /** Version of the standard operator set. */
  readonly opset: number;
  /** The program that wrote the file, such as `pytorch 2.9`. */
  readonly producer: string;
  /** Paths of heads with a dynamic number of outputs. For code that extends the SDK. */
  readonly openHeads: ReadonlySet<string>;
  /** Labels and attachment of a new head, for its adapters. For code that extends the SDK. */
  readonly notes: AdapterNotes;
  /** The opened file with functions inlined and fused operators expanded. For code that extends the SDK. */
  readonly onnx: OnnxFile;
  /** The runtime in this thread. For code that extends the SDK. */
  readonly runtime: Runtime;
  /** The worker thread's runtime, for training and sessions. For code that extends the SDK. */
  readonly workerRuntime: Runtime;
  readonly #given: ModelGraphParts;
  #layers: readonly Site[] | undefined;
  #sites: readonly Site[] | undefined;
  #byPath: ReadonlyMap<string, Site> | undefined;
  #modules: readonly NamedModule[] | undefined;
  #inference: ReadonlyMap<string, ValueType> | undefined;
  #types: ReadonlyMap<string, ValueType> | undefined;
  #totals: WeightTotals | undefined;
  #digest: Promise<string> | undefined;

  /** Builds a model from its constituents, for code that extends the SDK; otherwise use `openModel`. */
  constructor(parts: ModelGraphParts) {
    const { name, onnx, folder, config, files, families, registry = noPlugins } = parts;
    const { graph } = onnx.model;
    this.#given = parts;
    this.#types = parts.types;
    this.name = name;
    this.file = onnx.path;
    this.files = files?.map((each) => each.onnx.path) ?? [onnx.path];
    this.registry = registry;
    this.openHeads = parts.openHeads ?? new Set();
    this.notes = parts.notes ?? {};
    this.runtime = parts.runtime;
    this.workerRuntime = parts.sessionRuntime ?? parts.runtime;
    const known = new Map(registry.operators.map((each) => [operatorName(each.domain, each.op), each]));
    this.onnx = { ...onnx, model: prepareForMatching(withKnownOperators(onnx.model, known)) };
    const initializers = new Set((graph.initializer ?? []).map((tensor) => tensor.name));
    this.inputs = ports((graph.input ?? []).filter((info) => !initializers.has(info.name)));
    this.outputs = ports(graph.output ?? []);
    this.opset = opsetOf(onnx.model);
    this.producer = [onnx.model.producerName, onnx.model.producerVersion].filter(Boolean).join(' ') || 'unknown';
    if (folder !== undefined) this.folder = folder;
    if (parts.precision) this.precision = parts.precision;
    if (config !== undefined) this.config = config;
    const facts = { ...(config ? { config } : {}), modulePaths: this.#wholeSites().map(({ path }) => path) };
    const family = families.find((each) => each.matches(facts));
    if (family) this.family = family;
  }

  /** Derives a model with the same weights' digest. For code that extends the SDK. */
  abstract derived(changes: ModelChanges): this;

  /**
   * Checks that an adapter's tensors fit by name and shape. Only `place` also checks the base's weights.
   * @throws OnnxLoraError `ADAPTER_MISMATCH`, `ADAPTER_INVALID`
   */
  abstract requireModules(adapter: Adapter): void;

  /** Number of values in all weights, including quantised ones and Constant nodes. */
  get parameterCount(): number {
    return this.#weights().parameters;
  }

  /** Bytes of all constants in the file. */
  get weightBytes(): number {
    return this.#weights().bytes;
  }

  #weights(): WeightTotals {
    return (this.#totals ??= weightTotals(this.onnx.model.graph, this.#wholeSites()));
  }

  /** The files with the weights. */
  get #sources(): readonly Pick<ModelFile, 'onnx' | 'onlyServes'>[] {
    return this.#given.files ?? [{ onnx: this.#given.onnx, onlyServes: false }];
  }

  /** The files' metadata (`metadata_props`), such as a text recogniser's alphabet. Earlier files take precedence. */
  get metadata(): Readonly<Record<string, string>> {
    const entries = this.#sources.toReversed().flatMap(({ onnx }) => onnx.model.metadataProps ?? []);
    return Object.fromEntries(entries.map(({ key = '', value = '' }) => [key, value]));
  }

  /** The origin of a model written by `quantize`; undefined for others. */
  get quantizedFrom(): QuantizedFrom | undefined {
    const text = this.metadata[QUANTIZED_KEY];
    if (text === undefined) return undefined;
    try {
      return quantizedSchema.safeParse(parseForeignJson(text)).data;
    } catch {
      return undefined;
    }
  }

  /** The file with its original graph. For code that extends the SDK. */
  get stored(): OnnxFile {
    return this.#given.onnx;
  }

  /** Number of nodes in the main graph. */
  get nodeCount(): number {
    return this.#given.onnx.model.graph.node?.length ?? 0;
  }

  /** sha256 of all weights, which identifies an adapter's base. Reads every weight once. */
  digest(): Promise<string> {
    const [first, ...others] = this.#sources.flatMap(({ onnx, onlyServes }) => (onlyServes ? [] : [onnx.model.graph]));
    return (this.#digest ??= this.#given.origin?.digest() ?? weightsDigestInSlices(first!, ...others));
  }

  /** The adaptable modules, in graph order. A fused query-key-value layer is followed by its parts. */
  modules(): readonly ModuleInfo[] {
    return withParts(this.sites()).map(describeModule);
  }

  /**
   * Products with weights that {@link ModelGraph.modules} omits, with the reason: an unsupported operator, or form of
   * the weight.
   * @example
   * for (const { node, reason } of model.unadaptable()) console.log(`${node} ${reason}`);
   */
  unadaptable(): readonly UnadaptableLayer[] {
    return findUnadaptable(this.onnx.model.graph, this.#wholeSites());
  }

  /**
   * Places that begin like a pattern and then differ: activations written as several nodes that are not fused in training, and
   * layers that join queries, keys and values but have no module for each. Each names the differing operand and its node.
   * @example
   * for (const { pattern, at, reason } of model.nonMatches()) console.log(`${at} is almost ${pattern}, but ${reason}`);
   */
  nonMatches(): readonly NonMatch[] {
    const { graph } = this.onnx.model;
    const typeOf = (value: string): ValueType | undefined => this.#inferred().get(value);
    return [...almostFused(graph), ...unsplitLayers(this.#wholeSites(), indexWhole(graph), typeOf)];
  }

  headInput(output: string): HeadInput | undefined {
    return this.#readBy(headSites(this.onnx.model.graph, this.#wholeSites(), output)[0]);
  }

  featuresOf(output: string): HeadInput | undefined {
    return this.#readBy(firstOfHead(this.onnx.model.graph, this.#wholeSites(), output));
  }

  layersBehind(value: string, shapes?: Readonly<Record<string, readonly number[]>>): readonly LayerOutput[] {
    const { producer } = indexGraph(this.onnx.model.graph);
    const known = Object.hasOwn(this.outputs, value) || producer.has(value);
    const sites = known ? layersBehind(this.onnx.model.graph, this.#wholeSites(), value) : [];
    const types = shapes && inferGraph(this.onnx.model, { shapes });
    return sites.map(({ path, input, output }) => {
      const { dims, ...found } = this.#innerValue(output);
      return { ...found, dims: types ? types.get(output)?.shape : dims, module: path, input };
    });
  }

  #readBy(site: Site | undefined): HeadInput | undefined {
    return site && { ...this.#innerValue(site.input), module: site.path };
  }

  lookupOf(input: string): InnerValue | undefined {
    const name = lookupOf(this.onnx.model.graph, input);
    return name === undefined ? undefined : this.#innerValue(name);
  }

  #innerValue(name: string): InnerValue {
    const { type = 'float32', shape } = this.types().get(name) ?? {};
    return { name, type, dims: shape };
  }

  slicedFrom(output: string): string | undefined {
    return slicedFrom(this.onnx.model.graph, output);
  }

  logitsOf(output: string): string | undefined {
    return logitsOf(this.onnx.model.graph, output);
  }

  /** Attention weights, mostly `[batch, heads, queries, keys]`, for the keys of this module, unless fused. */
  attentionBehind(path: string): string | undefined {
    const site = this.sites().find((each) => each.path === path);
    return site && attentionBehind(this.onnx.model.graph, site.output);
  }

  get learned(): JsonObject | undefined {
    const merged = this.config?.[LEARNED_KEY];
    return this.notes.learned ?? (isObject(merged) ? merged : undefined);
  }

  get trainedSizes(): InputSizes | undefined {
    return inputSizesSchema.safeParse(this.config?.[INPUT_SIZES_KEY]).data;
  }

  /** The adaptable layers with their nodes; parts are inside fused ones. For code that extends the SDK. */
  sites(): readonly Site[] {
    return (this.#sites ??= findParts(this.#wholeSites(), indexWhole(this.onnx.model.graph), (value) =>
      this.#inferred().get(value),
    ));
  }

  /** Edges at which the family says that torch stops gradients. For code that extends the SDK. */
  stoppedEdges(): readonly GraphEdge[] {
    if (!this.family?.stopGradients) return [];
    const layers = this.#wholeSites().flatMap((site) => occurrencesOf(site).map(({ input, output }) => ({ path: site.path, input, output }))); // prettier-ignore
    const { graph } = this.onnx.model;
    const places = new Map(
      (graph.node ?? []).flatMap(({ output = [] }, i) => output.map((name) => [name, i] as const)),
    );
    const placeOf = ({ output }: { readonly output: string }): number => places.get(output) ?? 0;
    const inOrder = layers.sort((a, b) => placeOf(a) - placeOf(b));
    return this.family.stopGradients({ graph, layers: inOrder });
  }

  /** The layers by path, parts after fused ones. For code that extends the SDK. */
  sitesByPath(): ReadonlyMap<string, Site> {
    return (this.#byPath ??= new Map(withParts(this.sites()).map((site) => [site.path, site])));
  }

  /** Modules that can be adapted, then those that can only be trained in full. For code that extends the SDK. */
  namedModules(): readonly NamedModule[] {
    return (this.#modules ??= namedModules(this.onnx.model.graph, withParts(this.sites())));
  }

  /** The layers without parts, which need no type inference: enough to open a model. */
  #wholeSites(): readonly Site[] {
    const typeOf = (value: string): ValueType | undefined => this.#inferred().get(value);
    return (this.#layers ??= findSites(this.onnx.model.graph, { typeOf, parts: false }).map((site) => {
      const foldedScale = this.#given.foldedScales?.[site.path];
      if (!foldedScale) return site;
      return { ...site, foldedScale, alsoAt: site.alsoAt.map((place) => ({ ...place, foldedScale })) };
    }));
  }

  #inferred(): ReadonlyMap<string, ValueType> {
    return this.#types ?? (this.#inference ??= inferGraph(this.onnx.model));
  }

  /**
   * Types and shapes of all values in the graph. For code that extends the SDK.
   * @throws OnnxLoraError `MODEL_INVALID` for a node that would crash the process
   */
  types(): ReadonlyMap<string, ValueType> {
    if (this.#types) return this.#types;
    const types = this.#inferred();
    refuseFatalNodes(this.onnx.model.graph, types, this.file);
    return (this.#types = types);
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
