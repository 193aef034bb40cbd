/** @file What the graphs of a model share while adapters are put into them: the adapter's inputs, which are the main graph's. */

import type { Value } from '../graph/builder.ts';
import type { ModelProto, NodeProto, ValueInfoProto } from '../graph/proto.ts';
import type { ValueType } from '../graph/value.ts';
import type { Site } from '../match/sites.ts';
import { BRANCH } from '../graph/branchNames.ts';
import { freePrefix } from '../graph/uniqueNames.ts';
import { opsetOf } from '../ops/inferGraph.ts';
import { batchInputsOf, type RowPlace, RowPlaces } from '../ops/rows/rowPlaces.ts';
import { kindOf } from './kinds/table.ts';
import type { AdapterInput, AdapterPlan, ModuleTuning } from './methods/tuning.ts';
import { valueInfo } from '../graph/valueInfo.ts';

/** How the injected graph will be used. */
export interface InjectOptions {
  /** Types of the base graph's values. */
  readonly types: ReadonlyMap<string, ValueType>;
  /**
   * `training`: ranks are fixed and shapes static, for one adapter. `inference`: inputs that may differ between rows of a
   * batch take a bank, tensors of several adapters stacked along a first dimension; {@link Injected.rows} says which of them
   * each row gets. Ranks are any; r = 0 switches an adapter off. `single`: as `inference`, for one adapter at a time.
   * `branch`: as `single`, for inputs that become constants of a merged file: names say that they are not the base's.
   */
  readonly mode: 'training' | 'inference' | 'single' | 'branch';
}

/** A graph with adapters, and the inputs through which they come. */
export interface Injected {
  /** The graph. */
  readonly model: ModelProto;
  /** The inputs that adapters bring. */
  readonly inputs: readonly AdapterInput[];
  /**
   * Name of the int64 input that picks from a bank: `[]` with the place of one adapter for the whole batch, or `[batch]` with
   * one for each row. Absent where nothing can differ between rows.
   */
  readonly rows?: string;
  /** Name of the model's input whose first dimension counts the rows of a batch. */
  readonly batchInput: string;
  /** All inputs of the model with rows: the axis of each. */
  readonly rowInputs: ReadonlyMap<string, number>;
  /** Path of a layer for which `rows` may only be `[]`, since it is adapted and reads what has no rows. */
  readonly apart?: string;
  /** How rows that differ are computed in several runs. */
  readonly rowsApart: () => RowsApart;
  /** Values that gradients do not pass. */
  readonly stopped: ReadonlySet<string>;
  /** Float scalars of a graph for training that are added to the loss. */
  readonly losses: readonly Value[];
  /** Inputs of a graph for training that say what is left out of a step. */
  readonly masks: readonly DropoutMask[];
  /** Where nodes of the base are others now. */
  readonly changes: readonly GraphChange[];
}

/** Nodes of the base, and what stands in their place. */
export interface GraphChange {
  /** The nodes as the base has them, in their order. */
  readonly before: readonly NodeProto[];
  /** The nodes that were emitted for them, in their order; at least one. */
  readonly after: readonly NodeProto[];
}

/** What is drawn anew for each step: what an adapter's change of a layer reads of its input, or noise. */
export interface DropoutMask {
  /** Name of the graph input. */
  readonly name: string;
  /** Path of the module. */
  readonly module: string;
  /** Of a mask as the layer's input. */
  readonly dims: readonly number[];
  /** Of a mask, a bool for each number, the share that is kept; `noise` of normally distributed float32 numbers. */
  readonly keep: number | 'noise';
}

/** How a batch is taken apart by its rows, and results put together, where no one run can have rows that differ. */
export interface RowsApart {
  /** The inputs of the model with rows: the axis of each. */
  readonly inputs: ReadonlyMap<string, number>;
  /** Where each output of the model has the rows. */
  readonly outputs: ReadonlyMap<string, RowPlace>;
}

/** The adapter's inputs of one model, and what is known of its rows. */
export class AdapterInputs {
  readonly training: boolean;
  /** Whether rows of a batch may differ. */
  readonly hasBanks: boolean;
  readonly types: ReadonlyMap<string, ValueType>;
  readonly opset: number;
  /** With what the names of new nodes and values begin: no name of the base does, though adapters were merged into it. */
  readonly prefix: string;
  /** The graph input whose first dimension counts the rows of a batch. */
  readonly batchInput: Value;
  readonly #rowInputs: ReadonlyMap<string, number>;
  readonly #inputs = new Map<
    string,
    { input: Omit<AdapterInput, 'others'>; others: Set<ModuleTuning>; info: ValueInfoProto; value: Value }
  >();
  readonly #open: ReadonlySet<Site | undefined>;
  readonly #masks: DropoutMask[] = [];
  readonly #base: ModelProto;
  readonly #isBranch: boolean;
  readonly #plan: AdapterPlan;
  #places: RowPlaces | undefined;
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

  /** What has been added to the main graph: the inputs of the adapter, and their declarations. */
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

  /** Whether rows of a batch may differ in a site's adapter. */
  differs(site: Site): boolean {
    return this.hasBanks && kindOf(site).perRow;
  }

  /**
   * The axis on which a linear layer's input, its features last, has the rows of the batch; undefined where it has none, so
   * that a run has one adapter.
   *
   * @param holdsBatch whether the layer's graph has the values of a whole batch, as the body of a Scan does not
   */
  rowAxis(site: Site, holdsBatch: boolean): number | undefined {
    const places = (this.#places ??= new RowPlaces(this.#base, this.types));
    const rank = this.types.get(site.input)?.shape?.length ?? 0;
    let place = holdsBatch ? places.of(site.input) : 'none';
    if (place === 'unknown' && places.isCounted(site.input)) place = 0;
    const axis = typeof place === 'number' ? (site.arrange?.input.indexOf(place) ?? place) : -1;
    if (axis === 0 || (axis > 0 && axis < rank - 1)) return axis;
    this.#apartFor ??= site;
    return undefined;
  }

  #rowsApart(): RowsApart {
    const places = (this.#places ??= new RowPlaces(this.#base, this.types));
    const outputs = (this.#base.graph?.output ?? []).map(({ name = '' }) => [name, places.of(name)] as const);
    return { inputs: places.inputs.axes, outputs: new Map(outputs) };
  }

  /** What hooks of training change and no graph reads. */
  #unread(): AdapterInput[] {
    if (!this.training) return [];
    const unread = new Map<string, AdapterInput>();
    for (const tuning of this.#plan)
      for (const tensor of tuning.states?.() ?? [])
        if (!this.#inputs.has(tensor.name))
          unread.set(tensor.name, { name: tensor.name, tuning, others: [], tensor, perRow: false, isUnread: true });
    return [...unread.values()];
  }

  /** Whether adapters bring any number of outputs of a layer. */
  isOpen(site: Site): boolean {
    return this.#open.has(site);
  }

  /** The input that says which adapter of a bank each row of a batch gets. */
  get rows(): Value {
    this.#rows ??= { name: this.#free('lora_rows'), type: 'int64' };
    return this.#rows;
  }

  /** The input that carries a tensor of a module's tuning; one for all places of the module. */
  input(tuning: ModuleTuning, role: string, dims: readonly number[] | undefined, perRow: boolean = false): Value {
    const tensor = tuning.tensor(role);
    const known = this.#inputs.get(tensor.name);
    if (known) {
      if (tensor.shared && known.input.tuning !== tuning) known.others.add(tuning);
      return known.value;
    }
    // A parameter that is trained in full is the layer's own.
    const isOfBranch = this.#isBranch && !tuning.parameter;
    const name = isOfBranch ? `${this.prefix}/${tensor.name}` : this.#free(tensor.name);
    const input = { name, tuning, tensor, perRow };
    const { type = 'float32' } = tensor;
    const value: Value = { name: input.name, type, shape: dims };
    this.#inputs.set(tensor.name, { input, others: new Set(), info: valueInfo(input.name, type, dims), value });
    return value;
  }

  /** The input that says what of x is left out; one for each place of a module, as PEFT draws anew wherever it is called. */
  mask({ path }: Site, dropout: number, dims: readonly number[]): Value {
    const count = this.#masks.filter(({ module, keep }) => module === path && keep !== 'noise').length;
    const name = this.#free(`${path}.lora_dropout${count === 0 ? '' : `.${count}`}`);
    this.#masks.push({ name, module: path, dims, keep: 1 - dropout });
    return { name, type: 'bool', shape: dims };
  }

  /** The input of normally distributed numbers, drawn anew for each step; one for each place of a module. */
  noise({ path }: Site, dims: readonly number[]): Value {
    const count = this.#masks.filter(({ module, keep }) => module === path && keep === 'noise').length;
    const name = this.#free(`${path}.noise${count === 0 ? '' : `.${count}`}`);
    this.#masks.push({ name, module: path, dims, keep: 'noise' });
    return { name, type: 'float32', shape: dims };
  }

  #free(name: string): string {
    let free = name;
    while (this.types.has(free)) free = `${free}.trained`;
    return free;
  }
}
