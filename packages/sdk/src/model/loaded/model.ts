/** @file An opened model: what is made from it, and sessions that run it. */

import type { Adapter } from '../../adapter/adapter.ts';
import type { PlacedAdapter } from '../../adapter/naming/place.ts';
import type { AdapterSource } from '../../adapter/serving/adapterBank.ts';
import { AdapterSession } from '../../adapter/serving/session.ts';
import { didYouMean, OnnxLoraError } from '../../errors.ts';
import { knownOptions } from '../../knownOptions.ts';
import type { OnnxFile } from '../../graph/file/onnxFile.ts';
import { inlineKnownBranches } from '../../ops/rewrites/inlineBranches.ts';
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
import { otherPrecision, servingPrecision, sessionHere } from './precision.ts';
import { type ReservedModules, reservedSlots } from './reservedSlots.ts';

/** The model that a file is a part of. */
export interface PartOf {
  /** The model that all files are together. */
  readonly whole: Model;
  /** What its module paths have before those of the file. */
  readonly path: string;
}

/** What a model is made of. */
export interface ModelParts extends ModelGraphParts {
  /** Of one of several files: what they are together; opened when it is asked for. */
  readonly partOf?: () => PartOf;
}

/** Options of `model.session`. */
export interface ModelSessionOptions
  extends Omit<SessionOptions, 'purpose'>, ReservedModules, Pick<RunnableOptions, 'adapters' | 'allowBaseMismatch'> {
  /** Where adapters come from that a run names and the session does not hold. */
  readonly adapterSource?: AdapterSource;
  /**
   * Whether runs compute in a worker thread, which leaves this one free; true by default, unless the model was opened with
   * a runtime of the user's. A runtime of its own for this session, so that it computes beside others.
   */
  readonly worker?: boolean | Runtime;
}

// prettier-ignore
const requireKnown = knownOptions<ModelSessionOptions>('model.session', {
  adapters: true, allowBaseMismatch: true, adapterSource: true, targetModules: true, modulesToSave: true, useDora: true,
  worker: true, provider: true, threads: true, prepack: true, optimize: true, mergesEqual: true, spins: true, fallback: true, verify: true, strict: true,
  onWarning: true, maxQueue: true,
});
const requireKnownToPlace = knownOptions<PlaceOptions>('model.place', { allowBaseMismatch: true, toTrain: true });

/** An opened ONNX model. Holds the graph's structure; weights stay in the user's files. */
export class Model extends ModelGraph {
  readonly #given: ModelParts;
  readonly #places: AdapterPlaces;
  #parts: readonly Model[] | undefined;

  /** From its parts, for code that extends the SDK; `openModel` finds them for you. */
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

  /**
   * The files of a model of several, each as a model of its own, named as its family calls it; none for a model of one file.
   * Together they serve what the joined model trains: each takes the adapter of the whole, and what of it belongs to another
   * part is passed over.
   */
  get parts(): readonly Model[] {
    const families = this.family ? [this.family] : [];
    return (this.#parts ??= (this.#given.files ?? []).map(({ name, onnx, path }) =>
      this.#piece({ name, onnx, families }, path),
    ));
  }

  /** What the whole knows of each of {@link Model.parts}. For code that extends the SDK. */
  get partFiles(): readonly Pick<ModelFile, 'path' | 'onlyServes'>[] {
    return this.#given.files ?? [];
  }

  /** A model of a piece of this one's graph, which takes adapters of the whole. */
  #piece(changes: Partial<ModelParts> & { readonly onnx: OnnxFile }, path = ''): Model {
    const { files: _f, types: _t, origin: _o, ...shared } = this.#given;
    return new Model({ ...shared, ...changes, partOf: () => ({ whole: this, path }) });
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

  /**
   * The same model with values inside its graph as outputs too, such as {@link ModelGraph.headInput}.
   *
   * @example
   * const features = model.headInput('logits')!.name;
   * const session = await model.withOutputs([features]).session();
   *
   * @throws OnnxLoraError `INPUT_INVALID` for a value that the graph does not compute
   */
  withOutputs(values: readonly string[]): Model {
    if (values.every((value) => Object.hasOwn(this.outputs, value))) return this;
    return this.derived({ model: withInnerOutputs(this.onnx.model, values, this.types(), this.name) });
  }

  /**
   * The same model for smaller inputs than it was exported for, along axes of which the graph knows the size as a number.
   * Embeddings of positions and the like are cut to their first ones. Or few positions stand for many: of Whisper's 30 seconds
   * the speech at the beginning, and one position in four of the silence behind, which counts as four in attention. Outputs
   * have all positions then.
   *
   * @example
   * const small = model.withInputSizes({ pixel_values: { 2: 160, 3: 160 } });
   * const short = model.withInputSizes({ input_features: { 2: { first: 550, spread: 600, last: 50 } } });
   *
   * @throws OnnxLoraError `INPUT_INVALID` for an input that is not there, a larger size, or more than one where an axis is
   *   spread; `MODEL_UNSUPPORTED` naming the node that cannot follow
   */
  withInputSizes(sizes: InputSizes): Model {
    const { model } = this.onnx;
    const resized = resizeInputs(model, sizes, this.name);
    return resized === model ? this : this.derived({ model: resized });
  }

  /**
   * The same model with int64 inputs `[batch]` besides, numbers that come with each example, such as its task. The graph does
   * not read them; a tuner whose adapters differ between the examples of a batch does.
   *
   * @example
   * const model = (await openModel('models/vit')).withRowInputs(['task_ids']);
   *
   * @throws OnnxLoraError `INPUT_INVALID` for a name that the graph has; `MODEL_UNSUPPORTED` for a model without a batch
   */
  withRowInputs(names: readonly string[]): Model {
    const { model } = this.onnx;
    return names.length === 0 ? this : this.derived({ model: withRowInputs(model, names, this.types(), this.name) });
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
    const { model } = this.onnx;
    requireOneFile(values, this.files, this.name);
    const fixed = fixInputs(model, values, this.name);
    return fixed === model ? this : this.derived({ model: fixed });
  }

  /**
   * The same model without the Ifs of which one branch is always run, as that of a merged decoder which begins without a past:
   * then the values inside the branch may be outputs.
   */
  withoutKnownBranches(): Model {
    const { model } = this.onnx;
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
   * Loads the model for inference, with places for these adapters and for those that `targetModules` and `modulesToSave`
   * name.
   *
   * @throws OnnxLoraError `ADAPTER_MISMATCH` for an adapter of another base, `TARGET_NOT_FOUND` for a target that matches
   *   nothing, `CONFIG_INVALID` for an option that there is not, `PROVIDER_UNAVAILABLE`, `RUNTIME_FAILED`
   */
  async session(options: ModelSessionOptions = {}): Promise<AdapterSession> {
    requireKnown(options);
    const { adapters = {}, modulesToSave = [] } = options;
    requireNamedAdapters(adapters);
    checkMachine(
      options,
      this.registry.providers.map(({ name }) => name),
    );
    // Heads may be of other sizes than the base's: then the graph says no size.
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
    const machine = await sessionHere(this.precision, options, runtime);
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
   * Finds the place of each of an adapter's tensors, and checks that it was trained on these weights. Where the family
   * knows the names of transformers 4 and 5, an adapter trained under either is placed, under the graph's names. What the
   * graph has no place for is the subject of a process warning.
   *
   * @throws OnnxLoraError `ADAPTER_MISMATCH`; `ADAPTER_INVALID` for an adapter that holds a module under both names, or is a
   *   variant such as aLoRA
   */
  async place(adapter: Adapter, options: PlaceOptions = {}): Promise<PlacedAdapter> {
    requireKnownToPlace(options);
    return this.#places.place(adapter, options);
  }

  override requireModules(adapter: Adapter): void {
    this.#places.find(adapter);
  }
}
