/** @file Places an adapter's tensors in a model: resolves names and tuner, and checks the base. */

import { emitWarning } from '../../platform/system.ts';
import type { Adapter } from '../../adapter/adapter.ts';
import { isPlainType, LORA } from '../../adapter/formats/peftConfig.ts';
import { baseChangingInit, isForTraining, trainedAs, variantOf } from '../../adapter/formats/peftVariants.ts';
import { requireConfigMatchesTensors } from '../../adapter/formats/reconcile.ts';
import { parseTensorName } from '../../adapter/formats/tensorNames.ts';
import { adaptNames, modulesOf, tablesOf } from '../../adapter/naming/generations.ts';
import { changeInPart, hasAll, type PrefixChange, prefixChange } from '../../adapter/naming/modulePrefix.ts';
import { type PlacedAdapter, placeAdapter } from '../../adapter/naming/place.ts';
import { OnnxLoraError } from '../../errors.ts';
import type { Tuner } from '../../lora/tuner.ts';
import { type ChosenTuner, tunerSettings } from '../../lora/methods/adaptedLayer.ts';
import { quotedNames } from '../../data/listed.ts';
import { formName } from '../../ops/quantization/forms.ts';
import type { ModelGraph } from '../graph/modelGraph.ts';

/** Options of `model.place`. */
export interface PlaceOptions {
  /** Accepts an adapter of other base weights. */
  readonly allowBaseMismatch?: boolean;
  /** True to train on, which some variants of LoRA affect. */
  readonly toTrain?: boolean;
}

/** The joined model around a part, and a joined model's parts. */
export interface JoinedModels {
  /** For a part: the joined model, and the prefix of the part's paths there. */
  readonly whole: (() => { readonly places: AdapterPlaces; readonly path: string }) | undefined;
  readonly parts: () => readonly ModelGraph[];
}

/** Precisions that each adapter was warned of, across derived models. */
const toldOfBits = new WeakMap<Adapter, Set<string>>();

/** Places adapters in a model. */
export class AdapterPlaces {
  readonly #model: ModelGraph;
  readonly #relations: JoinedModels;
  readonly #warned = new WeakSet<Adapter>();
  readonly #found = new WeakMap<Adapter, PlacedAdapter>();

  constructor(model: ModelGraph, relations: JoinedModels) {
    this.#model = model;
    this.#relations = relations;
  }

  async place(
    adapter: Adapter,
    { allowBaseMismatch = false, toTrain = false }: PlaceOptions = {},
  ): Promise<PlacedAdapter> {
    const { name } = this.#model;
    const variant = variantOf(adapter.config) ?? (toTrain ? trainedAs(adapter.config) : undefined);
    if (variant !== undefined && !this.#variant(variant)) {
      throw new OnnxLoraError(
        'ADAPTER_INVALID',
        `The adapter is a variant of LoRA (${variant}) that ${variantOf(adapter.config) === undefined ? 'cannot be trained here: as plain LoRA it would get other gradients' : 'cannot be computed here: as plain LoRA it would give other outputs'}. Load a plugin that brings it (@onnx-lora/methods has most), merge it in PEFT, or train it without ${variant}.`,
      );
    }
    const placed = this.find(adapter, toTrain);
    const whole = this.#relations.whole?.().places;
    // Other parts hold the rest of the adapter.
    if (!whole) this.#warnOfUnused(adapter, placed.unused);
    else if (placed.unused.length > 0 || placed.tunings.length === 0)
      whole.#warnOfUnused(adapter, whole.find(adapter).unused);
    if (allowBaseMismatch) return placed;
    const init = baseChangingInit(adapter.config);
    if (init !== undefined) {
      throw new OnnxLoraError(
        'ADAPTER_MISMATCH',
        `The adapter counts from a base that its initialisation "${init}" has changed. Make it plain LoRA (toPlainLora; onnx-lora convert --plain-from), or allow the mismatch (allowBaseMismatch, --allow-base-mismatch) if "${name}" is that changed base.`,
      );
    }
    if (await this.#isBaseOf(adapter)) return placed;
    if (await this.#isInOtherBits(adapter)) return placed;
    throw new OnnxLoraError(
      'ADAPTER_MISMATCH',
      `The adapter was trained on other weights than those of "${name}" (their sha256 is ${adapter.baseDigest!.slice(0, 12)}…, this model's ${(await this.#model.digest()).slice(0, 12)}…). Use the base that it was trained on, or allow the mismatch (allowBaseMismatch, --allow-base-mismatch) if you know that they are the same.`,
    );
  }

  /** True if the adapter was trained on these weights, or on those of the joined model or a part. */
  async #isBaseOf({ baseDigest }: Adapter): Promise<boolean> {
    if (baseDigest === undefined) return true;
    if (baseDigest === (await this.#model.digest())) return true;
    const { whole, parts } = this.#relations;
    for (const model of whole ? [whole().places.#model] : parts())
      if (baseDigest === (await model.digest())) return true;
    return false;
  }

  /**
   * True if the adapter was trained on these weights in another precision, by the notes of `quantize` and `train`.
   * Warns once.
   * @throws OnnxLoraError `ADAPTER_MISMATCH` for a LoftQ adapter, which holds its base's quantisation error
   */
  async #isInOtherBits(adapter: Adapter): Promise<boolean> {
    const { name, quantizedFrom: own } = this.#model;
    const theirs = adapter.notes.quantizedBase;
    const origin = own?.from ?? (await this.#model.digest());
    if (origin !== (theirs?.from ?? adapter.baseDigest)) return false;
    const [here, there] = [own, theirs].map((form) => (form ? formName(form) : 'float32'));
    if (theirs?.loftq) {
      throw new OnnxLoraError(
        'ADAPTER_MISMATCH',
        `The adapter began with what its base, these weights in ${there}, had lost to rounding (LoftQ), and "${name}" has not lost it. Use the quantised model that it was trained on; to have it for others, train without LoftQ.`,
      );
    }
    const told = toldOfBits.get(adapter) ?? new Set();
    toldOfBits.set(adapter, told);
    if (!told.has(`${there} ${here}`)) {
      told.add(`${there} ${here}`);
      emitWarning(
        `The adapter learned on these weights in ${there}, and "${name}" has them in ${here}: answers differ a little. Measure it here (evaluate, onnx-lora eval) before it is used.`,
      );
    }
    return true;
  }

  /** Places tensors by name and shape alone. */
  find(adapter: Adapter, toTrain: boolean = false): PlacedAdapter {
    const found = (!toTrain && this.#found.get(adapter)) || this.#find(adapter, toTrain);
    if (!toTrain) this.#found.set(adapter, found);
    return found;
  }

  #find(adapter: Adapter, toTrain: boolean): PlacedAdapter {
    const { name, openHeads, notes, onnx } = this.#model;
    const chosen = this.#tunerOf(adapter, toTrain);
    requireConfigMatchesTensors(adapter, "The adapter's config", chosen && Object.keys(chosen.tuner.defaults));
    const { named, prefix } = this.#named(adapter);
    if (!prefix) return { adapter: named, tunings: [], unused: [...named.tensors.keys()] };
    return placeAdapter(named, onnx.model.graph, this.#model.sites(), name, {
      prefix,
      openHeads,
      newHead: notes.head?.module,
      mayBeEmpty: this.#relations.whole !== undefined,
      chosen,
    });
  }

  #variant(key: string): Tuner | undefined {
    return this.#model.registry.tuners.find(({ peftType, variant }) => peftType === LORA && variant === key);
  }

  #tunerOf({ config }: Adapter, toTrain: boolean): ChosenTuner | undefined {
    const { peftType } = config;
    const variant = peftType === LORA ? (variantOf(config) ?? (toTrain ? trainedAs(config) : undefined)) : undefined;
    if (isPlainType(peftType) || (peftType === LORA && variant === undefined)) return undefined;
    const tuner =
      variant === undefined
        ? this.#model.registry.tuners.find((each) => each.peftType === peftType)
        : this.#variant(variant);
    if (!tuner) {
      throw new OnnxLoraError(
        'ADAPTER_INVALID',
        `The adapter is of the type ${peftType}, and no plugin brings a tuner for it. Load one that does (openModel(source, { plugins }), --plugin), train the adapter as LoRA, or convert it with PEFT's save_as_lora.`,
      );
    }
    return { tuner, settings: tunerSettings(tuner, config) };
  }

  /** The adapter in the graph's naming, and the change of prefix; undefined for another part's adapter. */
  #named(adapter: Adapter): { readonly named: Adapter; readonly prefix: PrefixChange | undefined } {
    const modules = modulesOf(adapter);
    const own = this.#model.namedModules().map(({ path }) => path);
    const { whole } = this.#relations;
    if (whole && !hasAll(own, modules)) {
      const { places, path } = whole();
      const { named, prefix } = places.#named(adapter);
      return { named, prefix: prefix && changeInPart(prefix, path) };
    }
    const prefix = prefixChange(modules, own, this.#model.file);
    const { inAdapter, inGraph } = prefix;
    const paths = own.map((path) => `${inAdapter}${path.slice(inGraph.length)}`);
    return { named: adaptNames(adapter, paths, tablesOf(this.#model)), prefix };
  }

  /** Warns once of modules without effect: the graph may be a part, or lack a folded module. */
  #warnOfUnused(adapter: Adapter, unused: readonly string[]): void {
    // PEFT saves copies of a replaced module's biases with `bias: all`.
    const parsed = unused
      .filter((name) => !isForTraining(name))
      .map((name) => parseTensorName(name))
      .filter(({ role }) => role !== 'base_layer.weight');
    const modules = [...new Set(parsed.map(({ module }) => module))].filter(
      (module) => !module.split('.').includes('original_module'),
    );
    if (modules.length === 0 || this.#warned.has(adapter)) return;
    this.#warned.add(adapter);
    emitWarning(
      `The adapter changes modules that "${this.#model.name}" does not hold. They have no effect here: ${quotedNames(modules, 3)}.`,
    );
  }
}
