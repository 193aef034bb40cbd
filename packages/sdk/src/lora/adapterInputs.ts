/** @file The adapter's inputs, shared by a model's graphs during injection. */

import type { Value } from '../graph/builder.ts';
import type { ModelProto, NodeProto, ValueInfoProto } from '../graph/proto.ts';
import type { ValueType } from '../graph/value.ts';
import type { Site } from '../match/sites.ts';
import { BRANCH } from '../graph/branchNames.ts';
import { freePrefix } from '../graph/uniqueNames.ts';
import { opsetOf } from '../ops/inferGraph.ts';
import { batchInputsOf, type BatchAxis, BatchAxes } from '../ops/rows/batchAxes.ts';
import { kindOf } from './kinds/table.ts';
import type { AdapterInput, AdapterPlan, ModuleAdapter } from './methods/moduleAdapter.ts';
import { valueInfo } from '../graph/valueInfo.ts';

/** Options of {@link injectAdapters}. */
export interface InjectOptions {
  /** Types of the base graph's values. */
  readonly types: ReadonlyMap<string, ValueType>;
  /**
   * `training`: fixed ranks, static shapes, one adapter. `inference`: any rank (r = 0 disables an adapter), and inputs
   * that may differ between rows are banks, adapters stacked along a first dimension and picked by {@link
   * Injected.rows}. `single`: as `inference`, one adapter at a time. `branch`: as `single`, prefixed, for inputs that
   * become constants.
   */
  readonly mode: 'training' | 'inference' | 'single' | 'branch';
}

/** A graph with adapters, and the inputs that feed them. */
export interface Injected {
  /** The graph. */
  readonly model: ModelProto;
  /** The adapters' inputs. */
  readonly inputs: readonly AdapterInput[];
  /** Name of the int64 input that picks from banks: `[]` for the whole batch, or `[batch]`. Absent without banks. */
  readonly rows?: string;
  /** Name of the model input whose first dimension is the batch. */
  readonly batchInput: string;
  /** The batch axis of each model input that has one. */
  readonly rowInputs: ReadonlyMap<string, number>;
  /** Path of an adapted layer whose input has no batch dimension, so `rows` must be `[]`. */
  readonly apart?: string;
  /** How to split a batch into runs if rows differ. */
  readonly rowsApart: () => RowsApart;
  /** Values that stop gradients. */
  readonly stopped: ReadonlySet<string>;
  /** Float scalars that are added to the loss in training. */
  readonly losses: readonly Value[];
  /** Random inputs of a training graph. */
  readonly masks: readonly DropoutMask[];
  /** Replaced nodes of the base. */
  readonly changes: readonly GraphChange[];
}

/** Nodes of the base and their replacement. */
export interface GraphChange {
  /** The nodes of the base, in order. */
  readonly before: readonly NodeProto[];
  /** The nodes emitted for them, in order; at least one. */
  readonly after: readonly NodeProto[];
}

/** A random input redrawn at every step: a dropout mask, or noise. */
export interface DropoutMask {
  /** Name of the graph input. */
  readonly name: string;
  /** Path of the module. */
  readonly module: string;
  /** Shape; it broadcasts against the layer's input. */
  readonly dims: readonly number[];
  /** Share of true values in a bool mask; `noise` for standard normal float32 numbers. */
  readonly keep: number | 'noise';
}

/** How to split a batch by rows and join the results, if one run cannot mix adapters. */
export interface RowsApart {
  /** The batch axis of each model input that has one. */
  readonly inputs: ReadonlyMap<string, number>;
  /** Batch axis of each output of the model. */
  readonly outputs: ReadonlyMap<string, BatchAxis>;
}

/** Collects the adapter's inputs of one model and locates the batch axis. */
export class AdapterInputs {
  readonly training: boolean;
  /** Whether rows of a batch may use different adapters. */
  readonly hasBanks: boolean;
  readonly types: ReadonlyMap<string, ValueType>;
  readonly opset: number;
  /** Prefix of new nodes and values; unused in the base, even if adapters were merged into it. */
  readonly prefix: string;
  /** The graph input whose first dimension is the batch. */
  readonly batchInput: Value;
  readonly #rowInputs: ReadonlyMap<string, number>;
  readonly #inputs = new Map<
    string,
    { input: Omit<AdapterInput, 'others'>; others: Set<ModuleAdapter>; info: ValueInfoProto; value: Value }
  >();
  readonly #open: ReadonlySet<Site | undefined>;
  readonly #masks: DropoutMask[] = [];
  readonly #base: ModelProto;
  readonly #isBranch: boolean;
  readonly #plan: AdapterPlan;
  #places: BatchAxes | undefined;
  #apartFor: Site | undefined;
  #rows: Value | undefined;

  constructor(base: ModelProto, plan: AdapterPlan, { types, mode }: InjectOptions) {
    this.types = types;
    this.training = mode === 'training';
    this.hasBanks = mode === 'inference';
    this.opset = opsetOf(base);
    this.#isBranch = mode === 'branch';
    this.prefix = freePrefix(base.graph ?? {}, this.#isBranch ? BRANCH : 'lora');
    this.#base = base;
    this.#plan = plan;
    const { counting: name, axes } = batchInputsOf(base.graph ?? {}, types);
    this.#rowInputs = axes;
    this.batchInput = { name, ...types.get(name) };
    this.#open = new Set(plan.flatMap(({ isOpen, site }) => (isOpen ? [site] : [])));
  }

  /** The inputs added to the main graph. */
  added(): Omit<Injected, 'model' | 'stopped' | 'losses' | 'changes'> & { readonly infos: readonly ValueInfoProto[] } {
    const inputs = [...this.#inputs.values()];
    const rows = this.#rows?.name;
    return {
      inputs: [...inputs.map(({ input, others }) => ({ ...input, others: [...others] })), ...this.#unread()],
      batchInput: this.batchInput.name,
      rowInputs: this.#rowInputs,
      masks: this.#masks,
      ...(this.#apartFor ? { apart: this.#apartFor.path } : {}),
      rowsApart: () => this.#rowsApart(),
      infos: [
        ...inputs.map(({ info }) => info),
        ...this.#masks.map(({ name, dims, keep }) => valueInfo(name, keep === 'noise' ? 'float32' : 'bool', dims)),
        ...(rows === undefined ? [] : [valueInfo(rows, 'int64', undefined)]),
      ],
      ...(rows === undefined ? {} : { rows }),
    };
  }

  /** Whether rows of a batch may use different adapters in this layer. */
  differs(site: Site): boolean {
    return this.hasBanks && kindOf(site).perRow;
  }

  /** Batch axis of a linear layer's input, features last; undefined if it has none, as values of a Scan's body. */
  rowAxis(site: Site, holdsBatch: boolean): number | undefined {
    const places = (this.#places ??= new BatchAxes(this.#base, this.types));
    const rank = this.types.get(site.input)?.shape?.length ?? 0;
    let place = holdsBatch ? places.of(site.input) : 'none';
    if (place === 'unknown' && places.isCounted(site.input)) place = 0;
    const axis = typeof place === 'number' ? (site.arrange?.input.indexOf(place) ?? place) : -1;
    if (axis === 0 || (axis > 0 && axis < rank - 1)) return axis;
    this.#apartFor ??= site;
    return undefined;
  }

  #rowsApart(): RowsApart {
    const places = (this.#places ??= new BatchAxes(this.#base, this.types));
    const outputs = (this.#base.graph?.output ?? []).map(({ name = '' }) => [name, places.of(name)] as const);
    return { inputs: places.inputs.axes, outputs: new Map(outputs) };
  }

  /** States that only training hooks use. */
  #unread(): AdapterInput[] {
    if (!this.training) return [];
    const unread = new Map<string, AdapterInput>();
    for (const tuning of this.#plan)
      for (const tensor of tuning.states?.() ?? [])
        if (!this.#inputs.has(tensor.name))
          unread.set(tensor.name, { name: tensor.name, tuning, others: [], tensor, perRow: false, isUnread: true });
    return [...unread.values()];
  }

  /** Whether adapters may bring any number of the layer's outputs. */
  isOpen(site: Site): boolean {
    return this.#open.has(site);
  }

  /** The input that picks an adapter of a bank per row. */
  get rows(): Value {
    this.#rows ??= { name: this.#free('lora_rows'), type: 'int64' };
    return this.#rows;
  }

  /** The graph input of a tensor, shared by all occurrences of its module. */
  input(tuning: ModuleAdapter, role: string, dims: readonly number[] | undefined, perRow: boolean = false): Value {
    const tensor = tuning.tensor(role);
    const known = this.#inputs.get(tensor.name);
    if (known) {
      if (tensor.shared && known.input.tuning !== tuning) known.others.add(tuning);
      return known.value;
    }
    // A fully trained parameter replaces the layer's own and needs no prefix.
    const isOfBranch = this.#isBranch && !tuning.parameter;
    const name = isOfBranch ? `${this.prefix}/${tensor.name}` : this.#free(tensor.name);
    const input = { name, tuning, tensor, perRow };
    const { type = 'float32' } = tensor;
    const value: Value = { name: input.name, type, shape: dims };
    this.#inputs.set(tensor.name, { input, others: new Set(), info: valueInfo(input.name, type, dims), value });
    return value;
  }

  /** A dropout mask input. Each occurrence of a module has its own, as PEFT draws again in every call. */
  mask({ path }: Site, dropout: number, dims: readonly number[]): Value {
    return this.#drawn(path, 'lora_dropout', dims, 1 - dropout);
  }

  /** A noise input per occurrence of a module. */
  noise({ path }: Site, dims: readonly number[]): Value {
    return this.#drawn(path, 'noise', dims, 'noise');
  }

  #drawn(module: string, word: string, dims: readonly number[], keep: DropoutMask['keep']): Value {
    const isNoise = keep === 'noise';
    const count = this.#masks.filter((each) => each.module === module && (each.keep === 'noise') === isNoise).length;
    const name = this.#free(`${module}.${word}${count === 0 ? '' : `.${count}`}`);
    this.#masks.push({ name, module, dims, keep });
    return { name, type: isNoise ? 'float32' : 'bool', shape: dims };
  }

  #free(name: string): string {
    let free = name;
    while (this.types.has(free)) free = `${free}.trained`;
    return free;
  }
}
