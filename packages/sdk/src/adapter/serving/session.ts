/** @file One loaded base model that serves many adapters, chosen per run or per row, and changed while it runs. */

import { OnnxLoraError } from '../../errors.ts';
import { knownOptions } from '../../knownOptions.ts';
import type { ModelProto } from '../../graph/proto.ts';
import { sessionModel } from '../../graph/file/onnxFile.ts';
import { inTurns } from '../../graph/turns.ts';
import type { ValueType } from '../../graph/value.ts';
import type { RowsApart } from '../../lora/adapterInputs.ts';
import { type Injected, injectAdapters } from '../../lora/inject.ts';
import type { AdapterPlan, ModuleTuning } from '../../lora/methods/tuning.ts';
import { refold } from '../../match/view.ts';
import { type BasePrecision, inPrecision } from '../../ops/precision/precision.ts';
import type { BoundFeeds } from '../../runtime/boundFeeds.ts';
import { warn } from '../../runtime/providers/providers.ts';
import type { ConcreteProvider, ProviderReport, Runtime, Session, SessionOptions } from '../../runtime/session.ts';
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
import { baseFeeds, idleRank } from './feeds.ts';
import type { PlacedAdapter } from '../naming/place.ts';
import { planSlots } from './slots.ts';
import { type Apart, runApart } from './rowsApart.ts';

export type { AdapterBlend, AdapterChoice, RowAdapter } from './activeFeeds.ts';

/** What a session is made from. */
export interface AdapterSessionRequest {
  readonly base: ModelProto;
  readonly types: ReadonlyMap<string, ValueType>;
  readonly adapters: Readonly<Record<string, PlacedAdapter>>;
  /** Places for adapters that come later, beside those of `adapters`. */
  readonly reserved?: AdapterPlan | undefined;
  readonly source?: AdapterSource | undefined;
  /** Finds the places of an adapter that comes later. */
  readonly place: BankRequest['place'];
  readonly runtime: Runtime;
  /** In what the base computes; float32 by default. */
  readonly precision?: BasePrecision | undefined;
  readonly options?: SessionOptions;
  readonly name: string;
}

/** Options of {@link AdapterSession.run}. */
export interface AdapterRunOptions {
  /** A name or a blend for all rows, or an array with one per row; null or nothing is the base. */
  readonly adapter?: AdapterChoice;
  /** Cancels the run: it rejects at once with `CANCELLED`. */
  readonly signal?: AbortSignal;
  /** Names of the outputs to return; all of them by default. */
  readonly fetches?: readonly string[];
  /** Tensors that were bound to the session ({@link AdapterSession.bind}), beside the feeds. */
  readonly bound?: readonly BoundFeeds[];
  /**
   * Computes all rows of one adapter in one run where its tuner mixes rows ({@link AdapterSession.mixesRows}), as PEFT
   * computes a batch; false by default, so that no answer depends on other rows.
   */
  readonly rowsTogether?: boolean;
}

// prettier-ignore
const requireKnown = knownOptions<AdapterRunOptions>('session.run', {
  adapter: true, signal: true, fetches: true, bound: true, rowsTogether: true,
});
const requireKnownToPlace = knownOptions<PlaceOptions>('session.add', { allowBaseMismatch: true });

/**
 * A base model, loaded once, with any number of adapters. Swapping costs nothing: they lie where the graph runs, and a
 * run names those it reads. They can be added, replaced and removed at any time; a run that has been asked for keeps the
 * adapters that it was asked with.
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
  /** The first layer whose tuner mixes the rows of a batch. */
  readonly #mixing: ModuleTuning | undefined;
  /** Whether the model takes any number of rows. */
  readonly #takesAnyRows: boolean;
  readonly #options: SessionOptions;
  /** Whether outputs are looked at for what overflows float16: until it is told of. */
  #mayOverflow: boolean;

  /** Used by {@link AdapterSession.create}. */
  private constructor(
    session: Session,
    injected: Injected,
    { base, types, name, place, source, precision, options = {} }: AdapterSessionRequest,
  ) {
    const { inputs, rows } = injected;
    this.#session = session;
    this.#name = name;
    this.#active = new ActiveAdapters(session, injected, baseFeeds(inputs, idleRank(session.provider)));
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

  /** Injects the places into the base and loads it. */
  static async create(request: AdapterSessionRequest): Promise<AdapterSession> {
    const { base, types, adapters, reserved, runtime, precision, options, name } = request;
    const plan = planSlots(Object.values(adapters), reserved);
    const injected = injectAdapters(base, plan, { types, mode: 'inference' });
    const model = await inTurns(inPrecision(refold(injected.model), precision));
    const native = await runtime.createSession({ ...sessionModel(model), name }, options);
    try {
      const session = new AdapterSession(native, injected, request);
      for (const [key, placed] of Object.entries(adapters)) await session.#bank.addPlaced(key, placed);
      return session;
    } catch (error) {
      await native.release();
      throw error;
    }
  }

  /** The provider that the model runs on. Where the first run is verified, it may change it. */
  get provider(): ConcreteProvider {
    return this.#session.provider;
  }

  /** The model's own inputs, adapters aside. */
  get inputNames(): readonly string[] {
    return this.#modelInputs;
  }

  /** Names of the model's outputs. */
  get outputNames(): readonly string[] {
    return this.#session.outputNames;
  }

  /**
   * Whether an adapter here may be of a tuner whose answer for a row depends on the other rows of a batch, and on padding, such
   * as Lily. Each row is then computed by itself; give rows without padding for their neighbours' sake, one at a time.
   */
  get mixesRows(): boolean {
    return this.#mixing !== undefined;
  }

  /** The adapters that the session holds now. */
  get adapterNames(): readonly string[] {
    return this.#bank.names;
  }

  /**
   * Adds an adapter while the session runs. It needs places in the graph: those of the adapters that the session was made
   * with, and those reserved by `targetModules` and `modulesToSave`.
   *
   * @throws OnnxLoraError `INPUT_INVALID` for a name that is taken; `ADAPTER_MISMATCH` for an adapter of another base, or
   *   one that needs a place which the graph does not have
   */
  async add(name: string, adapter: Adapter, options: PlaceOptions = {}): Promise<void> {
    requireKnownToPlace(options);
    return this.#bank.add(name, adapter, options);
  }

  /**
   * Checks that an adapter has its places here, so that it can be added, or be loaded from the source.
   *
   * @throws OnnxLoraError `ADAPTER_MISMATCH` as {@link AdapterSession.add}
   */
  async requireRoom(adapter: Adapter, options: PlaceOptions = {}): Promise<void> {
    requireKnownToPlace(options);
    return this.#bank.requireRoom(adapter, options);
  }

  /**
   * Gives a name to another adapter: runs that are asked for from then on use that one.
   *
   * @throws OnnxLoraError as {@link AdapterSession.add}, and `INPUT_INVALID` for a name that no adapter has
   */
  async replace(name: string, adapter: Adapter, options: PlaceOptions = {}): Promise<void> {
    requireKnownToPlace(options);
    return this.#bank.replace(name, adapter, options);
  }

  /** Removes an adapter, and frees its tensors after the runs that use it; false where there is none of that name. */
  remove(name: string): boolean {
    return this.#bank.remove(name);
  }

  /**
   * Runs the model: once, or once for each group of rows that no single run can compute.
   *
   * @param feeds one tensor per input of the model, `[batch, ...]`, of the type and shape that `model.inputs` tells
   * @throws OnnxLoraError `INPUT_INVALID` for an unknown adapter, feeds that are missing, of another type or shape, or for no
   *   input, as many names as there are not rows, and rows that must be computed apart and cannot be; `CANCELLED`, `OVERLOADED`, `RUNTIME_FAILED`; what the source of
   *   adapters throws
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
    const apart = (why: Apart, rows: readonly RowAdapter[]): Promise<Record<string, Tensor>> =>
      runApart({
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
   * Hands tensors over once that many runs will read, such as what a decoder has made of the sound, so that they need not
   * travel with each. Undefined where that makes no difference, and where rows are computed one by one
   * ({@link AdapterSession.mixesRows}): then they are fed. To be released in the end.
   *
   * @throws OnnxLoraError `INPUT_INVALID` for tensors of another type or shape, or for no input
   */
  bind(feeds: Feeds): BoundFeeds | undefined {
    this.#requireFeeds(feeds, [], false);
    return this.mixesRows ? undefined : this.#session.bind?.(feeds);
  }

  /**
   * Runs once with ONNX Runtime's profiler, and says which provider computed each operator, and how far the outputs are
   * from the CPU's. It loads the graph again for this, and releases it.
   *
   * @throws OnnxLoraError `MODEL_UNSUPPORTED` when the session's runtime has no profiler; as {@link AdapterSession.run}
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

  /** Frees the native session, after the runs that have been asked for. */
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

  /** Calls `use` with the feeds of the adapters, at once unless some must be loaded first. */
  async #with<T>(choice: AdapterChoice, use: (active: ActiveFeeds) => Promise<T>): Promise<T> {
    const names = namesIn(choice);
    const start = (): { readonly running: Promise<T> } => ({ running: use(this.#active.of(choice, this.#bank)) });
    if (!this.#bank.mustLoad(names)) return start().running;
    return (await this.#bank.withLoaded(names, start)).running;
  }

  /** The choice, checked against the rows of the batch; rows that are all alike are one choice. */
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
