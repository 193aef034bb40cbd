/** @file What an opened model holds: its graph, the facts of its files, and the layers that can be adapted. */

import type { Adapter } from '../../adapter/adapter.ts';
import { type AdapterNotes, inputSizesSchema, quantizedSchema } from '../../adapter/storage/adapterNotes.ts';
import { parseForeignJson } from '../../adapter/formats/foreignJson.ts';
import { weightsDigestInTurns } from '../../graph/file/digest.ts';
import type { OnnxFile } from '../../graph/file/onnxFile.ts';
import { operatorName, withKnownOperators } from '../../graph/knownOperators.ts';
import type { GraphProto, ModelProto, ValueInfoProto } from '../../graph/proto.ts';
import type { ValueType } from '../../graph/value.ts';
import { indexWhole } from '../../graph/walk.ts';
import type { NamedModule } from '../../lora/targets.ts';
import { almostFused } from '../../match/fusions.ts';
import type { NonMatch } from '../../match/mismatch.ts';
import { findParts, unsplitLayers, withParts } from '../../match/partSites.ts';
import { findSites, type Site } from '../../match/sites.ts';
import { findUnadaptable, type UnadaptableLayer } from '../../match/unadaptable.ts';
import { viewOf } from '../../match/view.ts';
import { refuseFatalNodes } from '../../ops/fatalNodes.ts';
import { declaredType, inferGraph, opsetOf } from '../../ops/inferGraph.ts';
import type { BasePrecision } from '../../ops/precision/precision.ts';
import type { QuantizedFrom } from '../../ops/quantization/forms.ts';
import type { InputSizes } from '../../ops/rewrites/inputSizes.ts';
import { isObject, type JsonObject } from '../../data/modelFiles/configFields.ts';
import type { ModelFamily } from '../../plugin/families/family.ts';
import { noPlugins, type PluginRegistry } from '../../plugin/registry/loadPlugins.ts';
import type { GraphPort, HeadInput, InnerValue, TaskModel } from '../../plugin/taskModel.ts';
import type { Runtime } from '../../runtime/session.ts';
import { logitsOf, lookupOf, slicedFrom } from './innerValues.ts';
import { firstOfHead, headSites } from './headSites.ts';
import { attentionBehind } from './attentionBehind.ts';
import type { ModelFile } from './joinFiles.ts';
import { describeModule, type ModuleInfo, namedModules } from './namedModules.ts';
import { type WeightTotals, weightTotals } from './weightTotals.ts';

/** What of a model is another in one that is made from it. Its weights' digest stays that of the file. */
export interface ModelChanges {
  /** The graph. */
  readonly model?: ModelProto & { readonly graph: GraphProto };
  /** What `config.json` says. */
  readonly config?: JsonObject;
  /** In what it computes; as the file has it by default. */
  readonly precision?: BasePrecision;
  /** Types of all values, where they cannot be inferred from the graph. */
  readonly types?: ReadonlyMap<string, ValueType>;
  /** Paths of heads of which adapters may bring any number of outputs. */
  readonly openHeads?: ReadonlySet<string>;
  /** What an adapter with the new head says of it. */
  readonly notes?: AdapterNotes;
}

/** What a {@link ModelGraph} is made of. */
export interface ModelGraphParts extends Omit<ModelChanges, 'model'> {
  /** What the user called it. */
  readonly name: string;
  /** The graph, its weights still in the file. */
  readonly onnx: OnnxFile;
  /** Folder with config.json and the preprocessor's file. */
  readonly folder?: string;
  /** Asked in order which of them recognises the model. */
  readonly families: readonly ModelFamily[];
  /** What plugins bring; nothing by default. */
  readonly registry?: PluginRegistry;
  /**
   * Where an exporter folded a normalisation into a convolution's weight: by module path, the factor of each output,
   * γ ÷ √(σ² + ε).
   */
  readonly foldedScales?: Readonly<Record<string, Float32Array>>;
  /** Of a model of several files: all of them, in an order in which each reads only from those before it. */
  readonly files?: readonly ModelFile[];
  /** The model that it is made from, whose digest is its own too. */
  readonly origin?: ModelGraph;
  /** What runs in this thread. */
  readonly runtime: Runtime;
  /** What training and `model.session` run on; `runtime` by default. */
  readonly sessionRuntime?: Runtime;
}

/** Where the `config.json` of a merged model has what its task has learned. */
export const LEARNED_KEY = 'onnx_lora';
/** Where it has the sizes of inputs with which the adapters were trained. */
export const INPUT_SIZES_KEY = 'onnx_lora_input_sizes';

/** Where the metadata of a quantised file say what it was made from. */
export const QUANTIZED_KEY = 'onnx_lora.quantized';

/** The graph of an opened model, and what is found in it. Weights stay in the user's files. */
export abstract class ModelGraph implements TaskModel {
  readonly name: string;
  /** Path of the .onnx file; of a model of several files that of their folder. */
  readonly file: string;
  /** Paths of the .onnx files that the model is joined from; one for most. */
  readonly files: readonly string[];
  declare readonly folder?: string;
  declare readonly config?: JsonObject;
  /** In what products with its weights are computed, where that is not what the file says. */
  declare readonly precision?: BasePrecision;
  /** What the plugins bring that it was opened with. */
  readonly registry: PluginRegistry;
  /** The family that recognised it, where one did. */
  declare readonly family?: ModelFamily;
  readonly inputs: Readonly<Record<string, GraphPort>>;
  readonly outputs: Readonly<Record<string, GraphPort>>;
  /** Version of the standard operator set. */
  readonly opset: number;
  /** The program that wrote the file, such as `pytorch 2.9`. */
  readonly producer: string;
  /** Paths of heads of which adapters may bring any number of outputs. For code that extends the SDK. */
  readonly openHeads: ReadonlySet<string>;
  /** Labels of a new head and how it is attached, for the adapter that brings it. For code that extends the SDK. */
  readonly notes: AdapterNotes;
  /**
   * The opened file, its graph as layers are found in it: functions inlined, fused operators with weights taken apart. For
   * code that extends the SDK.
   */
  readonly onnx: OnnxFile;
  /** The runtime in this thread. For code that extends the SDK. */
  readonly runtime: Runtime;
  /** The runtime in a worker thread, on which training and sessions run. For code that extends the SDK. */
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

  /** From its parts, for code that extends the SDK; `openModel` finds them for you. */
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
    this.onnx = { ...onnx, model: viewOf(withKnownOperators(onnx.model, known)) };
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

  /** A model made from this one, whose weights have the same digest. For code that extends the SDK. */
  abstract derived(changes: ModelChanges): this;

  /**
   * Checks that an adapter's tensors have their places here, by their names and shapes; whether it was trained on these
   * weights only `place` says, which reads them.
   *
   * @throws OnnxLoraError `ADAPTER_MISMATCH`, `ADAPTER_INVALID`
   */
  abstract requireModules(adapter: Adapter): void;

  /** How many numbers all weights hold, quantised ones and those of Constant nodes included. */
  get parameterCount(): number {
    return this.#weights().parameters;
  }

  /** Bytes that all constants of the file take. */
  get weightBytes(): number {
    return this.#weights().bytes;
  }

  #weights(): WeightTotals {
    return (this.#totals ??= weightTotals(this.onnx.model.graph, this.#wholeSites()));
  }

  /** The files that the weights lie in. */
  get #sources(): readonly Pick<ModelFile, 'onnx' | 'onlyServes'>[] {
    return this.#given.files ?? [{ onnx: this.#given.onnx, onlyServes: false }];
  }

  /**
   * What the exporter has written into the file beside the graph (`metadata_props`), such as the alphabet of a model that
   * reads text. Of a model of several files, what the first of them that has a key says.
   */
  get metadata(): Readonly<Record<string, string>> {
    const entries = this.#sources.toReversed().flatMap(({ onnx }) => onnx.model.metadataProps ?? []);
    return Object.fromEntries(entries.map(({ key = '', value = '' }) => [key, value]));
  }

  /** What `quantize` made it from; undefined for a model that it did not make. */
  get quantizedFrom(): QuantizedFrom | undefined {
    const text = this.metadata[QUANTIZED_KEY];
    if (text === undefined) return undefined;
    try {
      return quantizedSchema.safeParse(parseForeignJson(text)).data;
    } catch {
      return undefined;
    }
  }

  /** The file with its graph as it stands there. For code that extends the SDK. */
  get stored(): OnnxFile {
    return this.#given.onnx;
  }

  /** How many nodes the main graph has. */
  get nodeCount(): number {
    return this.#given.onnx.model.graph.node?.length ?? 0;
  }

  /**
   * sha256 of the model's weights, by which adapters know their base. Reads every weight once. Of a model of several files
   * it is that of all weights, as if they were in one.
   */
  digest(): Promise<string> {
    const [first, ...others] = this.#sources.flatMap(({ onnx, onlyServes }) => (onlyServes ? [] : [onnx.model.graph]));
    return (this.#digest ??= this.#given.origin?.digest() ?? weightsDigestInTurns(first!, ...others));
  }

  /** What can be adapted, in graph order. Behind a layer that is joined of queries, keys and values stands each of them. */
  modules(): readonly ModuleInfo[] {
    return withParts(this.sites()).map(describeModule);
  }

  /**
   * Products with weights that are not among {@link ModelGraph.modules}, with the reason: an operator that is not adapted, a
   * weight that is stored or computed in a form that is not read.
   *
   * @example
   * for (const { node, reason } of model.unadaptable()) console.log(`${node} ${reason}`);
   */
  unadaptable(): readonly UnadaptableLayer[] {
    return findUnadaptable(this.onnx.model.graph, this.#wholeSites());
  }

  /**
   * Places that begin like a pattern and then differ: activations written as several nodes that are not fused in training, and
   * layers that join queries, keys and values but have no module for each. Each says which operand of which node differs.
   *
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

  #readBy(site: Site | undefined): HeadInput | undefined {
    if (!site) return undefined;
    const { type = 'float32', shape } = this.types().get(site.input) ?? {};
    return { name: site.input, module: site.path, type, dims: shape };
  }

  lookupOf(input: string): InnerValue | undefined {
    const name = lookupOf(this.onnx.model.graph, input);
    if (name === undefined) return undefined;
    const { type = 'float32', shape } = this.types().get(name) ?? {};
    return { name, type, dims: shape };
  }

  slicedFrom(output: string): string | undefined {
    return slicedFrom(this.onnx.model.graph, output);
  }

  logitsOf(output: string): string | undefined {
    return logitsOf(this.onnx.model.graph, output);
  }

  /**
   * The value inside the graph that holds the weights of an attention, `[batch, heads, queries, keys]` in most exports: of that
   * whose keys the module at `path` gives. Undefined where the graph does not compute them one by one.
   */
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

  /** The adaptable layers with their nodes, parts of joined ones inside these. For code that extends the SDK. */
  sites(): readonly Site[] {
    return (this.#sites ??= findParts(this.#wholeSites(), indexWhole(this.onnx.model.graph), (value) =>
      this.#inferred().get(value),
    ));
  }

  /** The same by their paths, with the parts of joined ones behind these. For code that extends the SDK. */
  sitesByPath(): ReadonlyMap<string, Site> {
    return (this.#byPath ??= new Map(withParts(this.sites()).map((site) => [site.path, site])));
  }

  /**
   * The modules by torch's paths: those that can be adapted, then those that can only be trained in full, such as norms, whose
   * parameters the graph holds under torch's names. For code that extends the SDK.
   */
  namedModules(): readonly NamedModule[] {
    return (this.#modules ??= namedModules(this.onnx.model.graph, withParts(this.sites())));
  }

  /** The sites without parts, for which no types need be known: a model is opened before it is asked for these. */
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
   * Types and shapes of all values of the graph. For code that extends the SDK.
   *
   * @throws OnnxLoraError `MODEL_INVALID` for a node that would end the process
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
