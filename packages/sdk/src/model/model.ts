/** @file An opened model: what it holds, what of it can be adapted, and sessions that run it. */

import { didYouMean, OnnxLoraError } from '../errors.ts';
import { weightsDigestInTurns } from '../graph/file/digest.ts';
import { operatorName, withKnownOperators } from '../graph/knownOperators.ts';
import type { OnnxFile } from '../graph/file/onnxFile.ts';
import type { ValueInfoProto } from '../graph/proto.ts';
import type { ValueType } from '../graph/value.ts';
import { indexWhole } from '../graph/walk.ts';
import { findParts, withParts } from '../match/partSites.ts';
import { findSites, type Site, type SiteKind } from '../match/sites.ts';
import { confidenceOf, type PathConfidence, type PathSource } from '../match/modulePath.ts';
import { findUnadaptable, type UnadaptableLayer } from '../match/unadaptable.ts';
import { viewOf } from '../match/view.ts';
import { weightSize } from '../match/weights/stored.ts';
import { refuseFatalNodes } from '../ops/fatalNodes.ts';
import { inlineKnownBranches } from '../ops/rewrites/inlineBranches.ts';
import { declaredType, inferGraph, opsetOf } from '../ops/inferGraph.ts';
import { type InputSizes, resizeInputs } from '../ops/rewrites/resizeInputs.ts';
import type { Adapter } from '../adapter/adapter.ts';
import { type AdapterNotes, inputSizesSchema } from '../adapter/storage/adapterNotes.ts';
import type { AdapterSource } from '../adapter/serving/adapterBank.ts';
import { adaptNames, modulesOf, tablesOf } from '../adapter/naming/generations.ts';
import { changeInPart, hasAll, type PrefixChange, prefixChange } from '../adapter/naming/modulePrefix.ts';
import { parseTensorName } from '../adapter/formats/tensorNames.ts';
import { baseChangingInit, LORA, variantOf } from '../adapter/formats/peftConfig.ts';
import { type PlacedAdapter, placeAdapter } from '../adapter/naming/place.ts';
import { AdapterSession } from '../adapter/serving/session.ts';
import { type ChosenTuner, tunerSettings } from '../lora/tunings/byTuner.ts';
import type { ModelFamily } from '../plugin/families/family.ts';
import { type PluginRegistry, noPlugins } from '../plugin/registry/loadPlugins.ts';
import { requireNamedAdapters } from '../plugin/predict/sources.ts';
import type { GraphPort, HeadInput, TaskModel } from '../plugin/taskModel.ts';
import { checkMachine } from '../runtime/providers/providers.ts';
import type { Runtime, SessionOptions } from '../runtime/session.ts';
import { sizeOf } from '../runtime/tensor.ts';
import { attentionBehind } from './initial/attentionBehind.ts';
import { cutGraph } from './cutting/cutGraph.ts';
import { type FixedInputs, fixInputs, requireOneFile } from './opening/fixedInputs.ts';
import { withOpenHeads } from './head/forAdapter.ts';
import type { ModelChanges } from './head/headable.ts';
import { firstOfHead } from './head/headFeatures.ts';
import { headSites } from './head/headSites.ts';
import { requireComputed, withInnerOutputs } from './cutting/innerValues.ts';
import { logitsOf, slicedFrom } from './cutting/slicedFrom.ts';
import type { ModelFile } from './opening/joinFiles.ts';
import { namedModules } from './opening/namedModules.ts';
import { type ReservedModules, reservedSlots } from './planning/reservedSlots.ts';
import { type WeightTotals, weightTotals } from './opening/weightTotals.ts';
import { attributeOf } from '../ops/schema.ts';

/** What `model.modules()` says of one adaptable layer. */
export interface ModuleInfo {
  /** torch's module path, against which target rules are matched. */
  readonly path: string;
  /** What kind of layer it is. */
  readonly kind: SiteKind;
  /** As torch has it: Linear `[out, in]`, Conv `[out, in / groups, ...kernel]`, Embedding `[vocabulary, dim]`. */
  readonly weightShape: readonly number[];
  /** Into how many groups a convolution splits its channels; 1 for all else. */
  readonly groups: number;
  /** Whether it has a bias. */
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
  /**
   * Of queries, keys or values that are one layer of the model with others: the path of that layer, whose weight the
   * parameters are part of.
   */
  readonly partOf?: string;
}

/** The model that a file is a part of. */
export interface PartOf {
  /** The model that all files are together. */
  readonly whole: Model;
  /** What its module paths have before those of the file. */
  readonly path: string;
}

/** What a model is made of. */
export interface ModelParts {
  /** What the user called it. */
  readonly name: string;
  /** The graph, its weights still in the file. */
  readonly onnx: OnnxFile;
  /** Folder with config.json and the preprocessor's file. */
  readonly folder?: string;
  /** `config.json`, parsed. */
  readonly config?: Readonly<Record<string, unknown>>;
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
  /** Of one of several files: what they are together; opened when it is asked for. */
  readonly partOf?: () => PartOf;
  /** As {@link ModelChanges} has them. */
  readonly types?: ReadonlyMap<string, ValueType>;
  /** As {@link Model.openHeads}; none by default. */
  readonly openHeads?: ReadonlySet<string>;
  /** As {@link Model.notes}; none by default. */
  readonly notes?: AdapterNotes;
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

/** Where the `config.json` of a merged model has what its task has learned. */
export const LEARNED_KEY = 'onnx_lora';
/** Where it has the sizes of inputs with which the adapters were trained. */
export const INPUT_SIZES_KEY = 'onnx_lora_input_sizes';

/** An opened ONNX model. Holds the graph's structure; weights stay in the user's files. */
export class Model implements TaskModel {
  /** What the user called it: a folder, a file or a hub id. */
  readonly name: string;
  /** Path of the .onnx file; of a model of several files that of their folder. */
  readonly file: string;
  /** Folder with config.json and the preprocessor's file, where there is one. */
  declare readonly folder?: string;
  /** `config.json`, parsed, where there is one. */
  declare readonly config?: Readonly<Record<string, unknown>>;
  /** What the plugins bring that it was opened with. */
  readonly registry: PluginRegistry;
  /** The family that recognised it, where one did. */
  declare readonly family?: ModelFamily;
  /** Type and shape of each graph input, by name. */
  readonly inputs: Readonly<Record<string, GraphPort>>;
  /** Type and shape of each graph output, by name. */
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
  #whole: readonly Site[] | undefined;
  #inference: ReadonlyMap<string, ValueType> | undefined;
  #modulePaths: readonly string[] | undefined;
  #types: ReadonlyMap<string, ValueType> | undefined;
  #totals: WeightTotals | undefined;
  #digest: Promise<string> | undefined;
  readonly #warned = new WeakSet<Adapter>();
  readonly #parts: ModelParts;
  #ownParts: readonly Model[] | undefined;
  /** The model whose weights these are, where its digest is theirs too. */
  #origin: Model | undefined;
  /** Paths of heads of which adapters may bring any number of outputs. For code that extends the SDK. */
  readonly openHeads: ReadonlySet<string>;
  /** Labels of a new head and how it is attached, for the adapter that brings it. For code that extends the SDK. */
  readonly notes: AdapterNotes;

  /** From its parts, for code that extends the SDK; `openModel` finds them for you. */
  constructor(parts: ModelParts) {
    const { name, onnx, folder, config, families, runtime, sessionRuntime = runtime, foldedScales = {} } = parts;
    const { graph } = onnx.model;
    this.#parts = parts;
    this.openHeads = parts.openHeads ?? new Set();
    this.notes = parts.notes ?? {};
    this.#types = parts.types;
    this.name = name;
    this.file = onnx.path;
    this.#file = onnx;
    this.registry = parts.registry ?? noPlugins;
    const known = new Map(this.registry.operators.map((each) => [operatorName(each.domain, each.op), each]));
    this.#onnx = { ...onnx, model: viewOf(withKnownOperators(onnx.model, known)) };
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
    const facts = { ...(config ? { config } : {}), modulePaths: this.#layers().map(({ path }) => path) };
    const family = families.find((each) => each.matches(facts));
    if (family) this.family = family;
  }

  /** Paths of the .onnx files that the model is joined from; one for most. */
  get files(): readonly string[] {
    return this.#parts.files?.map(({ onnx }) => onnx.path) ?? [this.file];
  }

  /**
   * The files of a model of several, each as a model of its own, named as its family calls it; none for a model of one file.
   * Together they serve what the joined model trains: each takes the adapter of the whole, and what of it belongs to another
   * part is passed over.
   */
  get parts(): readonly Model[] {
    this.#ownParts ??= (this.#parts.files ?? []).map(({ name, onnx, path }) => {
      const { files: _, types: _types, ...shared } = this.#parts;
      const families = this.family ? [this.family] : [];
      return new Model({ ...shared, name, onnx, families, partOf: () => ({ whole: this, path }) });
    });
    return this.#ownParts;
  }

  /**
   * One of {@link Model.parts}.
   *
   * @example
   * const encoder = await model.part('vision_encoder').session({ adapters: { cells } });
   *
   * @throws OnnxLoraError `INPUT_INVALID` when there is none of that name
   */
  part(name: string): Model {
    const found = this.parts.find((part) => part.name === name);
    if (found) return found;
    const names = this.parts.map((part) => part.name);
    throw new OnnxLoraError(
      'INPUT_INVALID',
      names.length === 0
        ? `"${this.name}" is one file, it has no part "${name}". Use the model itself.`
        : `"${this.name}" has no part "${name}".${didYouMean(name, names)} Its parts are ${names.map((each) => `"${each}"`).join(', ')}.`,
    );
  }

  /** How many numbers all weights hold, quantised ones and those of Constant nodes included. */
  get parameterCount(): number {
    return this.#weights().parameters;
  }

  /** Bytes that all constants of the file take. */
  get weightBytes(): number {
    return this.#weights().bytes;
  }

  #weights(): WeightTotals {
    this.#totals ??= weightTotals(this.#onnx.model.graph, this.#layers());
    return this.#totals;
  }

  /**
   * What the exporter has written into the file beside the graph (`metadata_props`), such as the alphabet of a model that
   * reads text. Of a model of several files, what the first of them that has a key says.
   */
  get metadata(): Readonly<Record<string, string>> {
    const files = this.#parts.files?.map(({ onnx }) => onnx) ?? [this.#file];
    const entries = files.toReversed().flatMap(({ model }) => model.metadataProps ?? []);
    return Object.fromEntries(entries.map(({ key = '', value = '' }) => [key, value]));
  }

  /** How many nodes the main graph has. */
  get nodeCount(): number {
    return this.#file.model.graph.node?.length ?? 0;
  }

  /** What can be adapted, in graph order. Behind a layer that is joined of queries, keys and values stands each of them. */
  modules(): readonly ModuleInfo[] {
    return withParts(this.sites()).map(({ path, kind, weightShape, weight, bias, node, pathSource, part }) => ({
      path,
      kind,
      weightShape,
      groups: kind.startsWith('conv') ? attributeOf(node, 'group') : 1,
      bias: bias !== undefined,
      parameters: sizeOf(weightShape) + (bias ? weightSize(bias.stored) : 0),
      node: node.name ?? '',
      weight: weight.stored.tensors[0].name,
      pathSource,
      confidence: confidenceOf(pathSource),
      storage: weight.stored.storage,
      ...(part ? { partOf: part.of } : {}),
    }));
  }

  /**
   * Products with weights that are not among {@link Model.modules}, with the reason: an operator that is not adapted, a
   * weight that is stored or computed in a form that is not read.
   *
   * @example
   * for (const { node, reason } of model.unadaptable()) console.log(`${node} ${reason}`);
   */
  unadaptable(): readonly UnadaptableLayer[] {
    return findUnadaptable(this.#onnx.model.graph, this.#layers());
  }

  /**
   * sha256 of the model's weights, by which adapters know their base. Reads every weight once. Of a model of several files
   * it is that of all weights, as if they were in one.
   */
  digest(): Promise<string> {
    const files = this.#parts.files?.filter(({ onlyServes }) => !onlyServes).map(({ onnx }) => onnx) ?? [this.#file];
    const [first, ...others] = files.map(({ model }) => model.graph);
    this.#digest ??= this.#origin?.digest() ?? weightsDigestInTurns(first!, ...others);
    return this.#digest;
  }

  /** Whether an adapter was trained on these weights, or on those of the model that this is a part of, or of a part. */
  async #isBaseOf({ baseDigest }: Adapter): Promise<boolean> {
    if (baseDigest === undefined) return true;
    if (baseDigest === (await this.digest())) return true;
    const { partOf } = this.#parts;
    for (const model of partOf ? [partOf().whole] : this.parts) if (baseDigest === (await model.digest())) return true;
    return false;
  }

  /**
   * What the layer reads that gives an output: of a classifier's `logits` the features behind them. Undefined where no layer
   * gives the output, but for reshaping, scaling and softmax.
   */
  headInput(output: string): HeadInput | undefined {
    const [site] = headSites(this.#onnx.model.graph, this.#layers(), output);
    if (!site) return undefined;
    const { type = 'float32', shape } = this.types().get(site.input) ?? {};
    return { name: site.input, module: site.path, type, dims: shape };
  }

  /**
   * What the whole head reads that gives an output, of however many layers it is: of the `logits` of a masked language model
   * the states that `lm_head.dense` reads, which is `module`. Undefined where no layer gives the output, or where it is the
   * encoder's own.
   */
  featuresOf(output: string): HeadInput | undefined {
    const site = firstOfHead(this.#onnx.model.graph, this.#layers(), output);
    if (!site) return undefined;
    const { type = 'float32', shape } = this.types().get(site.input) ?? {};
    return { name: site.input, module: site.path, type, dims: shape };
  }

  /** The value inside the graph that an output is cut from; undefined where it is not. */
  slicedFrom(output: string): string | undefined {
    return slicedFrom(this.#onnx.model.graph, output);
  }

  /**
   * The scores inside the graph of which an output is made by Softmax, LogSoftmax or Sigmoid, which losses are defined on;
   * undefined where it is not.
   */
  logitsOf(output: string): string | undefined {
    return logitsOf(this.#onnx.model.graph, output);
  }

  /**
   * The value inside the graph that holds the weights of an attention, `[batch, heads, queries, keys]` in most exports: of that
   * whose keys the module at `path` gives. Undefined where the graph does not compute them one by one.
   */
  attentionBehind(path: string): string | undefined {
    const site = this.sites().find((each) => each.path === path);
    return site && attentionBehind(this.#onnx.model.graph, site.output);
  }

  /**
   * The same model with values inside its graph as outputs too, such as {@link Model.headInput}.
   *
   * @example
   * const features = model.headInput('logits')!.name;
   * const session = await model.withOutputs([features]).session();
   *
   * @throws OnnxLoraError `INPUT_INVALID` for a value that the graph does not compute
   */
  withOutputs(values: readonly string[]): Model {
    if (values.every((value) => Object.hasOwn(this.outputs, value))) return this;
    return this.derived({ model: withInnerOutputs(this.#onnx.model, values, this.types(), this.name) });
  }

  /**
   * The same model for smaller inputs than it was exported for, along axes of which the graph knows the size as a number:
   * such as a Whisper that hears the first six seconds only. Embeddings of positions and the like are cut to their first
   * ones.
   *
   * @example
   * const short = model.withInputSizes({ input_features: { 2: 600 } });
   *
   * @throws OnnxLoraError `INPUT_INVALID` for an input that is not there, or a larger size; `MODEL_UNSUPPORTED` naming the
   *   node that cannot follow
   */
  withInputSizes(sizes: InputSizes): Model {
    const { model } = this.#onnx;
    const resized = resizeInputs(model, sizes, this.name);
    return resized === model ? this : this.derived({ model: resized });
  }

  /**
   * The same model with values in place of inputs, which then need not be fed, such as the sampling rate of a detector of
   * speech. Of an If that they decide the branch that is run stays, and nothing of the other. The weights' digest is still that
   * of the file, so that adapters fit both.
   *
   * @example
   * const at16k = model.withFixedInputs({ sr: 16000n });
   *
   * @throws OnnxLoraError `INPUT_INVALID` for an input that is not there, or a value of another type or shape;
   *   `MODEL_UNSUPPORTED` for a model of several files
   */
  withFixedInputs(values: FixedInputs): Model {
    const { model } = this.#onnx;
    requireOneFile(values, this.files, this.name);
    const fixed = fixInputs(model, values, this.name);
    return fixed === model ? this : this.derived({ model: fixed });
  }

  /**
   * The same model without the Ifs of which one branch is always run, as that of a merged decoder which begins without a past:
   * then the values inside the branch may be outputs.
   */
  withoutKnownBranches(): Model {
    const { model } = this.#onnx;
    if (!model.graph.node?.some(({ opType }) => opType === 'If')) return this;
    return this.derived({ model: { ...model, graph: inlineKnownBranches(model.graph, this.types()) } });
  }

  /**
   * The model in two at a value inside its graph: what computes it, and what goes on from it, which has it as an input. Each
   * takes adapters of the whole. So what both have in common, such as an encoder's states, need be computed only once.
   *
   * @example
   * const [encoder, decoder] = model.cutAt('/model/encoder/layer_norm/Add_1_output_0');
   *
   * @throws OnnxLoraError `INPUT_INVALID` for a value that the graph does not compute
   */
  cutAt(value: string): readonly [before: Model, after: Model] {
    requireComputed(this.#onnx.model.graph, [value], this.name);
    const cut = cutGraph(this.#onnx.model, value, this.types().get(value) ?? {});
    const partOf = (): PartOf => ({ whole: this, path: '' });
    const { files: _, types: _types, ...parts } = this.#parts;
    const [before, after] = cut.map((graph) => new Model({ ...parts, onnx: { ...this.#onnx, model: graph }, partOf }));
    return [before!, after!];
  }

  /** What a task has saved with the adapter for which this model was made, or that was merged into it. */
  get learned(): Readonly<Record<string, unknown>> | undefined {
    const merged = this.config?.[LEARNED_KEY];
    const isObject = typeof merged === 'object' && merged !== null && !Array.isArray(merged);
    return this.notes.learned ?? (isObject ? (merged as Readonly<Record<string, unknown>>) : undefined);
  }

  /** Sizes of inputs with which what was merged into this model was trained, as an adapter notes them. */
  get trainedSizes(): InputSizes | undefined {
    return inputSizesSchema.safeParse(this.config?.[INPUT_SIZES_KEY]).data;
  }

  /** A model made from this one, whose weights have the same digest. For code that extends the SDK. */
  derived({ model: graph, types, ...changes }: ModelChanges): Model {
    const onnx = graph ? { ...this.#onnx, model: graph } : this.#parts.onnx;
    const own = graph ? types : (types ?? this.#parts.types);
    const { types: _, ...parts } = this.#parts;
    const model = new Model({ ...parts, ...changes, onnx, ...(own ? { types: own } : {}) });
    model.#origin = this;
    return model;
  }

  /**
   * Loads the model for inference, with places for these adapters and for those that `targetModules` and `modulesToSave`
   * name.
   *
   * @throws OnnxLoraError `ADAPTER_MISMATCH` for an adapter of another base, `TARGET_NOT_FOUND` for a target that matches
   *   nothing, `PROVIDER_UNAVAILABLE`, `RUNTIME_FAILED`
   */
  async session(options: ModelSessionOptions = {}): Promise<AdapterSession> {
    const { adapters = {}, modulesToSave = [] } = options;
    requireNamedAdapters(adapters);
    checkMachine(
      options,
      this.registry.providers.map(({ name }) => name),
    );
    // Heads may be of other sizes than the base's: then the graph says no size.
    return withOpenHeads<Model>(this, Object.values(adapters), modulesToSave).#session(options);
  }

  async #session({
    adapters = {},
    allowBaseMismatch = false,
    adapterSource,
    worker = true,
    targetModules,
    modulesToSave,
    useDora,
    ...options
  }: ModelSessionOptions): Promise<AdapterSession> {
    const placed: Record<string, PlacedAdapter> = {};
    for (const [name, adapter] of Object.entries(adapters))
      placed[name] = await this.place(adapter, { allowBaseMismatch });
    const { name, family } = this;
    const { model } = this.onnx;
    const reserved = reservedSlots(
      { name, ...(family ? { family } : {}), graph: model.graph, sites: this.sites() },
      {
        ...(targetModules === undefined ? {} : { targetModules }),
        ...(modulesToSave === undefined ? {} : { modulesToSave }),
        ...(useDora === undefined ? {} : { useDora }),
      },
      this.openHeads,
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
   * @throws OnnxLoraError `ADAPTER_MISMATCH`; `ADAPTER_INVALID` for an adapter that holds a module under both names, or is a
   *   variant such as aLoRA
   */
  async place(
    adapter: Adapter,
    { allowBaseMismatch = false }: { readonly allowBaseMismatch?: boolean } = {},
  ): Promise<PlacedAdapter> {
    const variant = variantOf(adapter.config);
    if (variant !== undefined) {
      throw new OnnxLoraError(
        'ADAPTER_INVALID',
        `The adapter is a variant of LoRA (${variant}) that cannot be computed here: as plain LoRA it would give other outputs. Merge it in PEFT, or train it without ${variant}.`,
      );
    }
    const placed = this.#find(adapter);
    const { partOf } = this.#parts;
    const isForOthers = placed.unused.length > 0 || placed.tunings.length === 0;
    // What the other files of the model hold is theirs.
    if (!partOf) this.#warnOfUnused(adapter, placed.unused);
    else if (isForOthers) {
      const { whole } = partOf();
      whole.#warnOfUnused(adapter, whole.#find(adapter).unused);
    }
    const init = baseChangingInit(adapter.config);
    if (init !== undefined && !allowBaseMismatch) {
      throw new OnnxLoraError(
        'ADAPTER_MISMATCH',
        `The adapter counts from a base that its initialisation "${init}" has changed. Make it plain LoRA (toPlainLora; onnx-lora convert --plain-from), or allow the mismatch (allowBaseMismatch, --allow-base-mismatch) if "${this.name}" is that changed base.`,
      );
    }
    if (!allowBaseMismatch && !(await this.#isBaseOf(adapter))) {
      throw new OnnxLoraError(
        'ADAPTER_MISMATCH',
        `The adapter was trained on other weights than those of "${this.name}" (their sha256 is ${adapter.baseDigest!.slice(0, 12)}…, this model's ${(await this.digest()).slice(0, 12)}…). Use the base that it was trained on, or allow the mismatch (allowBaseMismatch, --allow-base-mismatch) if you know that they are the same.`,
      );
    }
    return placed;
  }

  /**
   * Checks that an adapter's tensors have their places here, by their names and shapes; whether it was trained on these
   * weights only {@link Model.place} says, which reads them.
   *
   * @throws OnnxLoraError `ADAPTER_MISMATCH`, `ADAPTER_INVALID`
   */
  requireModules(adapter: Adapter): void {
    this.#find(adapter);
  }

  /** The places of an adapter's tensors by their names alone. */
  #find(adapter: Adapter): PlacedAdapter {
    const chosen = this.#tunerOf(adapter);
    const { named, prefix } = this.#named(adapter);
    if (!prefix) return { adapter: named, tunings: [], unused: [...named.tensors.keys()] };
    return placeAdapter(named, this.#onnx.model.graph, this.sites(), this.name, {
      prefix,
      openHeads: this.openHeads,
      newHead: this.notes.head?.module,
      mayBeEmpty: this.#parts.partOf !== undefined,
      chosen,
    });
  }

  /** The tuner of an adapter that is not LoRA. */
  #tunerOf({ config }: Adapter): ChosenTuner | undefined {
    const { peftType } = config;
    if (peftType === LORA) return undefined;
    const tuner = this.registry.tuners.find((each) => each.peftType === peftType);
    if (!tuner) {
      throw new OnnxLoraError(
        'ADAPTER_INVALID',
        `The adapter is of the type ${peftType}, and no plugin brings a tuner for it. Load one that does (openModel(source, { plugins }), --plugin), train the adapter as LoRA, or convert it with PEFT's save_as_lora.`,
      );
    }
    return { tuner, settings: tunerSettings(tuner, config) };
  }

  /**
   * The adapter under the names of transformers that the graph uses, and what they begin with on either side; of an
   * adapter for another part of the model no prefix.
   */
  #named(adapter: Adapter): { readonly named: Adapter; readonly prefix: PrefixChange | undefined } {
    const modules = modulesOf(adapter);
    const own = (this.#modulePaths ??= namedModules(this.#onnx.model.graph, this.sites()).map(({ path }) => path));
    const { partOf } = this.#parts;
    if (partOf && !hasAll(own, modules)) {
      const { whole, path } = partOf();
      const { named, prefix } = whole.#named(adapter);
      return { named, prefix: prefix && changeInPart(prefix, path) };
    }
    const prefix = prefixChange(modules, own, this.file);
    const { inAdapter, inGraph } = prefix;
    const paths = own.map((path) => `${inAdapter}${path.slice(inGraph.length)}`);
    return { named: adaptNames(adapter, paths, tablesOf(this)), prefix };
  }

  /** Says once for an adapter what of it has no effect: a graph may be a part of the model, or lack a folded module. */
  #warnOfUnused(adapter: Adapter, unused: readonly string[]): void {
    // Copies of the base are no part of what was trained: PEFT saves biases of a replaced module with `bias: all`.
    const parsed = unused.map((name) => parseTensorName(name)).filter(({ role }) => role !== 'base_layer.weight');
    const modules = [...new Set(parsed.map(({ module }) => module))].filter(
      (module) => !module.split('.').includes('original_module'),
    );
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

  /** The adaptable layers with their nodes, parts of joined ones inside these. For code that extends the SDK. */
  sites(): readonly Site[] {
    this.#sites ??= findParts(this.#layers(), indexWhole(this.#onnx.model.graph), (value) =>
      this.#inferred().get(value),
    );
    return this.#sites;
  }

  /** The sites without parts, for which no types need be known: a model is opened before it is asked for these. */
  #layers(): readonly Site[] {
    this.#whole ??= findSites(this.#onnx.model.graph, {
      typeOf: (value) => this.#inferred().get(value),
      parts: false,
    }).map((site) => {
      const foldedScale = this.#foldedScales[site.path];
      if (!foldedScale) return site;
      return { ...site, foldedScale, alsoAt: site.alsoAt.map((place) => ({ ...place, foldedScale })) };
    });
    return this.#whole;
  }

  #inferred(): ReadonlyMap<string, ValueType> {
    return this.#types ?? (this.#inference ??= inferGraph(this.#onnx.model));
  }

  /**
   * Types and shapes of all values of the graph. For code that extends the SDK.
   *
   * @throws OnnxLoraError `MODEL_INVALID` for a node that would end the process
   */
  types(): ReadonlyMap<string, ValueType> {
    if (this.#types) return this.#types;
    const types = this.#inferred();
    refuseFatalNodes(this.#onnx.model.graph, types, this.file);
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
