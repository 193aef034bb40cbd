/** @file A loaded base model that serves many adapters, chosen per run or row, and changed at runtime. */

import { OnnxLoraError } from '../../errors.ts';
import { knownOptions } from '../../knownOptions.ts';
import type { ModelProto } from '../../graph/proto.ts';
import { preparedSource } from '../../ops/session/sessionModel.ts';
import { runInSlices } from '../../graph/eventLoop.ts';
import type { ValueType } from '../../graph/value.ts';
import type { RowsApart } from '../../lora/adapterInputs.ts';
import { type Injected, injectAdapters } from '../../lora/inject.ts';
import type { AdapterPlan, ModuleAdapter } from '../../lora/methods/moduleAdapter.ts';
import { refold } from '../../match/view.ts';
import { type BasePrecision, inPrecision } from '../../ops/precision/precision.ts';
import type { BoundFeeds } from '../../runtime/boundFeeds.ts';
import { warn } from '../../runtime/providers/providers.ts';
import type { SessionProvider, ProviderReport, Runtime, Session, SessionOptions } from '../../runtime/session.ts';
import type { Feeds, Tensor } from '../../runtime/tensor.ts';
import {
  ActiveAdapters,
  type ActiveFeeds,
  type AdapterChoice,
  isRows,
  namesIn,
  perRow,
  type RowAdapter,
} from './activeFeeds.ts';
import type { Adapter } from '../adapter.ts';
import { RowsDiffer } from './bankFeeds.ts';
import { AdapterBank, type AdapterSource, type BankRequest, type PlaceOptions } from './adapterBank.ts';
import { FeedCheck, feedError } from './feedCheck.ts';
import { baseFeeds, zeroRank } from './feeds.ts';
import type { PlacedAdapter } from '../naming/place.ts';
import { planSlots } from './slots.ts';
import { type SeparateRuns, runSeparately } from './separateRuns.ts';

export type { AdapterBlend, AdapterChoice, RowAdapter } from './activeFeeds.ts';

/** Arguments of a session. */
export interface AdapterSessionRequest {
  readonly base: ModelProto;
  readonly types: ReadonlyMap<string, ValueType>;
  readonly adapters: Readonly<Record<string, PlacedAdapter>>;
  readonly reserved?: AdapterPlan | undefined;
  readonly source?: AdapterSource | undefined;
  readonly place: BankRequest['place'];
  readonly runtime: Runtime;
  readonly precision?: BasePrecision | undefined;
  readonly options?: SessionOptions;
  readonly name: string;
}

/** Options of {@link AdapterSession.run}. */
export interface AdapterRunOptions {
  /** A name or blend for all rows, or an array with one per row; by default, or for null, the base. */
  readonly adapter?: AdapterChoice;
  /** Cancels the run: it rejects at once with `CANCELLED`. */
  readonly signal?: AbortSignal;
  /** Outputs to return; all by default. */
  readonly fetches?: readonly string[];
  /** Tensors bound to the session ({@link AdapterSession.bind}), in addition to the feeds. */
  readonly bound?: readonly BoundFeeds[];
  /** Computes a batch in one run even if the tuner mixes rows ({@link AdapterSession.mixesRows}), as PEFT does. */
  readonly rowsTogether?: boolean;
}

// prettier-ignore
const requireKnown = knownOptions<AdapterRunOptions>('session.run', {
  adapter: true, signal: true, fetches: true, bound: true, rowsTogether: true,
});
const requireKnownToPlace = knownOptions<PlaceOptions>('session.add', { allowBaseMismatch: true });

/**
 * A base model, loaded once, with any number of adapters. Switching is free: a run names those it reads. They can be
 * added, replaced and removed at any time; a requested run keeps its adapters.
 */
export class AdapterSession implements AsyncDisposable {
  readonly #session: Session;
  readonly #name: string;
  readonly #bank: AdapterBank;
  readonly #active: ActiveAdapters;
  readonly #modelInputs: readonly string[];
  readonly #check: FeedCheck;
  readonly #injected: Pick<Injected, 'batchInput' | 'rowInputs' | 'apart' | 'rowsApart'>;
  #rowsApart: RowsApart | undefined;
  /** The first layer whose tuner mixes rows. */
  readonly #mixing: ModuleAdapter | undefined;
  /** True if the batch size is dynamic. */
  readonly #takesAnyRows: boolean;
  readonly #options: SessionOptions;
  /** Checks outputs for float16 overflow, until the first warning. */
  #mayOverflow: boolean;

  /** Use {@link AdapterSession.create}. */
  private constructor(
    session: Session,
    injected: Injected,
    { base, types, name, place, source, precision, options = {} }: AdapterSessionRequest,
  ) {
    const { inputs, rows } = injected;
    this.#session = session;
    this.#name = name;
    this.#active = new ActiveAdapters(session, injected, baseFeeds(inputs, zeroRank(session.provider)));
    this.#bank = new AdapterBank({
      session,
      inputs,
      place,
      source,
      onRemoved: (adapter) => this.#active.removed(adapter),
    });
    const own = new Set([...inputs.map((input) => input.name), rows]);
    this.#modelInputs = session.inputNames.filter((each) => !own.has(each));
    this.#check = FeedCheck.of(base.graph ?? {}, this.#modelInputs);
    this.#injected = injected;
    this.#mixing = inputs.flatMap(({ tuning, others }) => [tuning, ...others]).find(({ mixesRows }) => mixesRows);
    this.#options = options;
    this.#mayOverflow = precision?.name === 'float16';
    this.#takesAnyRows = typeof types.get(injected.batchInput)?.shape?.[0] === 'string';
  }

  /** Injects slots into the base and loads it. */
  static async create(request: AdapterSessionRequest): Promise<AdapterSession> {
    const { base, types, adapters, reserved, runtime, precision, options, name } = request;
    const plan = planSlots(Object.values(adapters), reserved);
    const injected = injectAdapters(base, plan, { types, mode: 'inference' });
    const model = await runInSlices(inPrecision(refold(injected.model), precision));
    const native = await runtime.createSession(await preparedSource(model, name), options);
    try {
      const session = new AdapterSession(native, injected, request);
      for (const [key, placed] of Object.entries(adapters)) await session.#bank.addPlaced(key, placed);
      return session;
    } catch (error) {
      await native.release();
      throw error;
    }
  }

  /** The execution provider. Verification of the first run may change it. */
  get provider(): SessionProvider {
    return this.#session.provider;
  }

  /** The model's own inputs, without those of adapters. */
  get inputNames(): readonly string[] {
    return this.#modelInputs;
  }

  /** Names of the model's outputs. */
  get outputNames(): readonly string[] {
    return this.#session.outputNames;
  }

  /**
   * True if a tuner, such as Lily, makes a row's answer depend on other rows and padding. Each row then runs alone;
   * pass rows one at a time, without padding.
   */
  get mixesRows(): boolean {
    return this.#mixing !== undefined;
  }

  /** Names of the present adapters. */
  get adapterNames(): readonly string[] {
    return this.#bank.names;
  }

  /**
   * Adds an adapter. It needs slots in the graph: those of the initial adapters, or reserved by `targetModules` and
   * `modulesToSave`.
   * @throws OnnxLoraError `INPUT_INVALID` for a name in use; `ADAPTER_MISMATCH` for an adapter of another base, or
   *   without slots
   */
  async add(name: string, adapter: Adapter, options: PlaceOptions = {}): Promise<void> {
    requireKnownToPlace(options);
    return this.#bank.add(name, adapter, options);
  }

  /**
   * Checks that an adapter could be added or loaded.
   * @throws OnnxLoraError `ADAPTER_MISMATCH` as {@link AdapterSession.add}
   */
  async requireRoom(adapter: Adapter, options: PlaceOptions = {}): Promise<void> {
    requireKnownToPlace(options);
    return this.#bank.requireRoom(adapter, options);
  }

  /**
   * Replaces the adapter of a name for later runs.
   * @throws OnnxLoraError as {@link AdapterSession.add}; `INPUT_INVALID` for an unknown name
   */
  async replace(name: string, adapter: Adapter, options: PlaceOptions = {}): Promise<void> {
    requireKnownToPlace(options);
    return this.#bank.replace(name, adapter, options);
  }

  /** Removes an adapter, and frees it after the runs that use it; false if the name is unknown. */
  remove(name: string): boolean {
    return this.#bank.remove(name);
  }

  /**
   * Runs the model: once, or per group of rows that one run cannot combine.
   * @param feeds one tensor per input, `[batch, ...]`, of the type and shape in `model.inputs`
   * @throws OnnxLoraError `INPUT_INVALID` for an unknown adapter, missing, unknown or unfitting feeds, a wrong number
   *   of names, and rows that cannot be separated; `CANCELLED`, `OVERLOADED`, `RUNTIME_FAILED`; errors of the adapter
   *   source
   */
  async run(feeds: Feeds, options: AdapterRunOptions = {}): Promise<Record<string, Tensor>> {
    requireKnown(options);
    const { adapter = null, signal, fetches, bound = [], rowsTogether = false } = options;
    this.#requireFeeds(feeds, bound);
    const choice = this.#onePerRow(adapter, feeds);
    const run = async (one: AdapterChoice, own: Feeds): Promise<Record<string, Tensor>> => {
      const outputs = await this.#with(one, (active) =>
        this.#session.run({ ...own, ...active.feeds }, fetches, {
          bound: [...bound, ...active.bound],
          ...(signal ? { signal } : {}),
        }),
      );
      if (this.#mayOverflow) this.#tellOfOverflow(outputs);
      return outputs;
    };
    const apart = (why: SeparateRuns, rows: readonly RowAdapter[]): Promise<Record<string, Tensor>> =>
      runSeparately({
        ...why,
        model: this.#name,
        apart: (this.#rowsApart ??= this.#injected.rowsApart()),
        choice: rows,
        feeds,
        outputs: fetches ?? this.outputNames,
        isDivisible: this.#takesAnyRows && bound.length === 0,
        run,
      });
    const rows = feeds[this.#injected.batchInput]?.dims[0] ?? 1;
    if (this.#mixing && !rowsTogether && choice !== null && rows > 1)
      return apart({ kind: 'mixed', tuning: this.#mixing }, perRow(choice, rows));
    if (!isRows(choice)) return run(choice, feeds);
    let module = this.#injected.apart;
    if (module === undefined) {
      try {
        return await run(choice, feeds);
      } catch (error) {
        if (!(error instanceof RowsDiffer)) throw error;
        module = error.module;
      }
    }
    return apart({ kind: 'different', module }, choice);
  }

  /**
   * Binds tensors that many runs read, such as an encoder's states, to avoid passing them each time. Must be released.
   * Undefined if the runtime gains nothing, or rows run separately ({@link AdapterSession.mixesRows}): feed them then.
   * @throws OnnxLoraError `INPUT_INVALID` for unknown inputs, and tensors of another type or shape
   */
  bind(feeds: Feeds): BoundFeeds | undefined {
    this.#requireFeeds(feeds, [], false);
    return this.mixesRows ? undefined : this.#session.bind?.(feeds);
  }

  /**
   * Runs once with ONNX Runtime's profiler, and reports the provider of each operator and the outputs' distance from
   * the CPU's. Loads the graph again meanwhile.
   * @throws OnnxLoraError `MODEL_UNSUPPORTED` if the runtime has no profiler; as {@link AdapterSession.run}
   */
  async providerReport(feeds: Feeds, asked: AdapterRunOptions = {}): Promise<ProviderReport> {
    requireKnown(asked);
    const { adapter = null, signal } = asked;
    this.#requireFeeds(feeds);
    const choice = this.#onePerRow(adapter, feeds);
    const one = this.#injected.apart !== undefined && isRows(choice) ? choice[0]! : choice;
    return this.#with(one, (active) => {
      const options = { bound: active.bound, ...(signal ? { signal } : {}) };
      const report = this.#session.providerReport?.({ ...feeds, ...active.feeds }, options);
      if (report) return report;
      throw new OnnxLoraError(
        'MODEL_UNSUPPORTED',
        `The runtime of "${this.#name}" cannot tell where operators run. Open the model with OrtRuntime or WorkerRuntime.`,
      );
    });
  }

  /** Frees the native session, after requested runs. */
  async release(): Promise<void> {
    await this.#session.release();
  }

  /** As {@link AdapterSession.release}, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }

  #tellOfOverflow(outputs: Readonly<Record<string, Tensor>>): void {
    const found = Object.entries(outputs).find(([, { data }]) => data instanceof Float32Array && data.includes(NaN));
    if (!found) return;
    this.#mayOverflow = false;
    warn(
      this.#options,
      `"${found[0]}" of "${this.#name}" holds NaN. In precision "float16", values beyond 65,504 are infinite; open the model in float32 to see whether that is why.`,
    );
  }

  #requireFeeds(feeds: Feeds, bound?: readonly BoundFeeds[], isWhole?: boolean): void {
    const fault = this.#check.fault(feeds, bound, isWhole);
    if (fault) throw feedError(this.#name, fault, this.#check, { feeds, ...(bound ? { bound } : {}) });
  }

  /** Calls `use` with the adapters' feeds, synchronously unless some must be loaded. */
  async #with<T>(choice: AdapterChoice, use: (active: ActiveFeeds) => Promise<T>): Promise<T> {
    const names = namesIn(choice);
    const start = (): { readonly running: Promise<T> } => ({ running: use(this.#active.of(choice, this.#bank)) });
    if (!this.#bank.mustLoad(names)) return start().running;
    return (await this.#bank.withLoaded(names, start)).running;
  }

  /** Checks a choice against the batch, and simplifies equal rows to one choice. */
  #onePerRow(choice: AdapterChoice, feeds: Feeds): AdapterChoice {
    if (!isRows(choice)) return choice;
    const { batchInput, rowInputs } = this.#injected;
    const rows = feeds[batchInput]?.dims[0];
    if (rows !== undefined && rows !== choice.length) {
      throw new OnnxLoraError(
        'INPUT_INVALID',
        `${choice.length} adapter names were given for a batch of ${rows} rows. Give one name per row.`,
      );
    }
    const [first = null] = choice;
    if (choice.every((each) => each === first)) return first;
    for (const [name, axis] of rowInputs) {
      const own = feeds[name]?.dims[axis];
      if (own === undefined || own === choice.length) continue;
      throw new OnnxLoraError(
        'INPUT_INVALID',
        `Rows of one batch can have different adapters only where all inputs have as many rows, but "${batchInput}" has ${choice.length} and "${name}" has ${own}. Run one batch per adapter, with one name for all of its rows, or give "${name}" a row for each of "${batchInput}".`,
      );
    }
    return choice;
  }
}
