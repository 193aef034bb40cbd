/** @file An opened model, models derived from it, and its sessions. */

import type { Adapter } from '../../adapter/adapter.ts';
import type { PlacedAdapter } from '../../adapter/naming/place.ts';
import type { AdapterSource } from '../../adapter/serving/adapterBank.ts';
import { AdapterSession } from '../../adapter/serving/session.ts';
import { didYouMean, OnnxLoraError } from '../../errors.ts';
import { knownOptions } from '../../knownOptions.ts';
import type { OnnxFile } from '../../graph/file/onnxFile.ts';
import { stopGradients } from '../../graph/stopGradients.ts';
import { inlineKnownBranches } from '../../ops/rewrites/simplify.ts';
import type { InputSizes } from '../../ops/rewrites/inputSizes.ts';
import { resizeInputs } from '../../ops/rewrites/resizeInputs.ts';
import { requireNamedAdapters } from '../../predict/sources.ts';
import type { RunnableOptions } from '../../plugin/taskModel.ts';
import { checkMachine, warn } from '../../runtime/providers/providers.ts';
import type { Runtime, SessionOptions } from '../../runtime/session.ts';
import { cutGraph } from '../graph/cutGraph.ts';
import { requireComputed, withInnerOutputs } from '../graph/innerValues.ts';
import { withOpenHeads } from '../head/forAdapter.ts';
import { type ModelChanges, ModelGraph, type ModelGraphParts } from '../graph/modelGraph.ts';
import { type FixedInputs, fixInputs, requireOneFile } from '../graph/fixedInputs.ts';
import type { ModelFile } from '../graph/joinFiles.ts';
import { withRowInputs } from '../graph/rowInputs.ts';
import { AdapterPlaces, type PlaceOptions } from './placing.ts';
import { otherPrecision, servingPrecision, sessionOnMachine } from './precision.ts';
import { type ReservedModules, reservedSlots } from './reservedSlots.ts';

/** The joined model of a file. */
export interface PartOf {
  /** The model of all files. */
  readonly whole: Model;
  /** Prefix of the file's module paths in the joined model. */
  readonly path: string;
}

/** The constituents of a model. */
export interface ModelParts extends ModelGraphParts {
  /** For one of several files, opens the joined model on demand. */
  readonly partOf?: () => PartOf;
}

/** Options of `model.session`. */
export interface ModelSessionOptions
  extends Omit<SessionOptions, 'purpose'>, ReservedModules, Pick<RunnableOptions, 'adapters' | 'allowBaseMismatch'> {
  /** Loads adapters that a run names and the session lacks. */
  readonly adapterSource?: AdapterSource;
  /**
   * Runs in a worker thread; true by default unless the model was opened with a runtime. A runtime runs beside other
   * sessions.
   */
  readonly worker?: boolean | Runtime;
}

// prettier-ignore
const requireKnown = knownOptions<ModelSessionOptions>('model.session', {
  adapters: true, allowBaseMismatch: true, adapterSource: true, targetModules: true, modulesToSave: true, useDora: true,
  worker: true, provider: true, threads: true, arithmetic: true, prepack: true, optimize: true, mergesEqual: true, spins: true, fallback: true, verify: true, strict: true,
  onWarning: true, maxQueue: true,
});
const requireKnownToPlace = knownOptions<PlaceOptions>('model.place', { allowBaseMismatch: true, toTrain: true });

/** An opened ONNX model. Holds the graph's structure; weights stay in the user's files. */
export class Model extends ModelGraph {
  readonly #given: ModelParts;
  readonly #places: AdapterPlaces;
  #parts: readonly Model[] | undefined;

  /** Builds a model from its constituents, for code that extends the SDK; otherwise use `openModel`. */
  constructor(given: ModelParts) {
    super(given);
    this.#given = given;
    const { partOf } = given;
    const whole = (): { places: AdapterPlaces; path: string } => {
      const { whole: all, path } = partOf!();
      return { places: all.#places, path };
    };
    this.#places = new AdapterPlaces(this, { whole: partOf && whole, parts: () => this.parts });
  }

  /** The files of a model of several, each as a model that accepts adapters of the joined one; none for one file. */
  get parts(): readonly Model[] {
    const families = this.family ? [this.family] : [];
    return (this.#parts ??= (this.#given.files ?? []).map(({ name, onnx, path }) =>
      this.#piece({ name, onnx, families }, path),
    ));
  }

  /** Facts about each of {@link Model.parts}. For code that extends the SDK. */
  get partFiles(): readonly Pick<ModelFile, 'path' | 'onlyServes'>[] {
    return this.#given.files ?? [];
  }

  /** A model of a part of this graph, which accepts adapters of the whole. */
  #piece(changes: Partial<ModelParts> & { readonly onnx: OnnxFile }, path = ''): Model {
    const { files: _f, types: _t, origin: _o, ...shared } = this.#given;
    return new Model({ ...shared, ...changes, partOf: () => ({ whole: this, path }) });
  }

  /**
   * One of {@link Model.parts}, by name.
   * @example
   * const encoder = await model.part('vision_encoder').session({ adapters: { cells } });
   * @throws OnnxLoraError `INPUT_INVALID` for an unknown name
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

  /**
   * Adds inner values of the graph as outputs, such as {@link ModelGraph.headInput}.
   * @example
   * const features = model.headInput('logits')!.name;
   * const session = await model.withOutputs([features]).session();
   * @throws OnnxLoraError `INPUT_INVALID` for a value that the graph does not compute
   */
  withOutputs(values: readonly string[]): Model {
    if (values.every((value) => Object.hasOwn(this.outputs, value))) return this;
    return this.derived({ model: withInnerOutputs(this.onnx.model, values, this.types(), this.name) });
  }

  /**
   * Shrinks inputs along axes with static size. Position embeddings and the like are truncated. With `spread`, few
   * positions represent many: for Whisper's 30 seconds, the speech at the beginning, and every fourth position of the
   * silence after it, weighted by four in attention; outputs keep all positions.
   * @example
   * const small = model.withInputSizes({ pixel_values: { 2: 160, 3: 160 } });
   * const short = model.withInputSizes({ input_features: { 2: { first: 550, spread: 600, last: 50 } } });
   * @throws OnnxLoraError `INPUT_INVALID` for an unknown input, a larger size, or several inputs with a spread axis;
   *   `MODEL_UNSUPPORTED` naming the node that cannot follow
   */
  withInputSizes(sizes: InputSizes): Model {
    const { model } = this.onnx;
    const resized = resizeInputs(model, sizes, this.name);
    return resized === model ? this : this.derived({ model: resized });
  }

  /**
   * Adds int64 inputs `[batch]` with a number per example, such as its task. The graph ignores them; a tuner that
   * chooses adapters per example reads them.
   * @example
   * const model = (await openModel('models/vit')).withRowInputs(['task_ids']);
   * @throws OnnxLoraError `INPUT_INVALID` for a name that the graph has; `MODEL_UNSUPPORTED` for a model without a
   *   batch
   */
  withRowInputs(names: readonly string[]): Model {
    const { model } = this.onnx;
    return names.length === 0 ? this : this.derived({ model: withRowInputs(model, names, this.types(), this.name) });
  }

  /**
   * Replaces inputs by constants, such as the sampling rate of a speech detector. An If that they decide keeps only its
   * taken branch. The weights' digest stays the file's, so adapters fit both.
   * @example
   * const at16k = model.withFixedInputs({ sr: 16000n });
   * @throws OnnxLoraError `INPUT_INVALID` for an unknown input, or a value of another type or shape;
   *   `MODEL_UNSUPPORTED` for a model of several files
   */
  withFixedInputs(values: FixedInputs): Model {
    const { model } = this.onnx;
    requireOneFile(values, this.files, this.name);
    const fixed = fixInputs(model, values, this.name);
    return fixed === model ? this : this.derived({ model: fixed });
  }

  /**
   * Stops gradients where the model's family says that torch does (`detach`), which an export does not show. `train`
   * does so itself. Outputs stay.
   */
  withStoppedGradients(): Model {
    const edges = this.stoppedEdges();
    if (edges.length === 0) return this;
    const { model } = this.onnx;
    return this.derived({ model: { ...model, graph: stopGradients(model.graph, edges) } });
  }

  /** Inlines Ifs that always take the same branch, as in a merged decoder without a past, which exposes values. */
  withoutKnownBranches(): Model {
    const { model } = this.onnx;
    if (!model.graph.node?.some(({ opType }) => opType === 'If')) return this;
    return this.derived({ model: { ...model, graph: inlineKnownBranches(model.graph, this.types()) } });
  }

  /**
   * Splits the model at an inner value: one part computes it, the other takes it as an input. Both accept adapters of
   * the whole. Shared results, such as an encoder's states, then need only be computed once.
   * @example
   * const [encoder, decoder] = model.cutAt('/model/encoder/layer_norm/Add_1_output_0');
   * @throws OnnxLoraError `INPUT_INVALID` for a value that the graph does not compute
   */
  cutAt(value: string): readonly [before: Model, after: Model] {
    const { model } = this.onnx;
    requireComputed(model.graph, [value], this.name);
    const cut = cutGraph(model, value, this.types().get(value) ?? {});
    const [before, after] = cut.map((graph) => this.#piece({ onnx: { ...this.onnx, model: graph } }));
    return [before!, after!];
  }

  override derived({ model: graph, types, ...changes }: ModelChanges): this {
    const { types: known, ...given } = this.#given;
    const onnx = graph ? { ...this.onnx, model: graph } : given.onnx;
    const own = graph ? types : (types ?? known);
    return new Model({ ...given, ...changes, onnx, ...(own ? { types: own } : {}), origin: this }) as this;
  }

  /**
   * Loads the model for inference, with slots for these adapters and for the modules in `targetModules` and
   * `modulesToSave`.
   * @throws OnnxLoraError `ADAPTER_MISMATCH` for an adapter of another base, `TARGET_NOT_FOUND` for a target that
   *   matches nothing, `CONFIG_INVALID` for an unknown option, `PROVIDER_UNAVAILABLE`, `RUNTIME_FAILED`
   */
  async session(options: ModelSessionOptions = {}): Promise<AdapterSession> {
    requireKnown(options);
    const { adapters = {}, modulesToSave = [] } = options;
    requireNamedAdapters(adapters);
    checkMachine(
      options,
      this.registry.providers.map(({ name }) => name),
    );
    // Adapters' heads may have other sizes than the base's.
    return withOpenHeads(this, Object.values(adapters), modulesToSave).#session(options);
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
    const here = worker === true ? this.workerRuntime : this.runtime;
    const runtime = typeof worker === 'object' ? worker : here;
    const machine = await sessionOnMachine(this.precision, options, runtime);
    const warning = otherPrecision(this.precision, adapters);
    if (warning) warn(options, warning);
    const placed: Record<string, PlacedAdapter> = {};
    for (const [name, adapter] of Object.entries(adapters))
      placed[name] = await this.place(adapter, { allowBaseMismatch });
    return AdapterSession.create({
      base: this.onnx.model,
      types: this.types(),
      adapters: placed,
      reserved: reservedSlots(this, { targetModules, modulesToSave, useDora }),
      source: adapterSource,
      place: (adapter, place) => this.place(adapter, { allowBaseMismatch, ...place }),
      runtime,
      precision: servingPrecision(this, Object.values(adapters)),
      options: machine,
      name: this.name,
    });
  }

  /**
   * Places an adapter's tensors, and checks that it was trained on these weights. Accepts the names of transformers 4
   * and 5 if the family knows them. Warns of modules that the graph lacks.
   * @throws OnnxLoraError `ADAPTER_MISMATCH`; `ADAPTER_INVALID` for a module under both names, or a variant such as
   *   aLoRA
   */
  async place(adapter: Adapter, options: PlaceOptions = {}): Promise<PlacedAdapter> {
    requireKnownToPlace(options);
    return this.#places.place(adapter, options);
  }

  override requireModules(adapter: Adapter): void {
    this.#places.find(adapter);
  }
}
