/** @file One loaded base model that serves many adapters, chosen per run or per row. */

import { OnnxLoraError, didYouMean } from '../errors.ts';
import type { ModelProto } from '../graph/proto.ts';
import { sessionModel } from '../graph/onnxFile.ts';
import type { ValueType } from '../graph/value.ts';
import { injectAdapters } from '../lora/inject.ts';
import type { AdapterInput } from '../lora/plan.ts';
import type { Provider, Runtime, Session, SessionOptions } from '../runtime/session.ts';
import type { Feeds, Tensor } from '../runtime/tensor.ts';
import { type AdapterFeeds, adapterFeeds, baseFeeds, idleRank, mixedFeeds } from './feeds.ts';
import { joinPlans, type PlacedAdapter } from './place.ts';

/** Which adapter a run uses: one name for the whole batch, or one per row; null is the base model. */
export type AdapterChoice = string | null | readonly (string | null)[];

/** What a session is made from. */
export interface AdapterSessionRequest {
  readonly base: ModelProto;
  readonly types: ReadonlyMap<string, ValueType>;
  readonly adapters: Readonly<Record<string, PlacedAdapter>>;
  readonly runtime: Runtime;
  readonly options?: SessionOptions;
  readonly name: string;
}

/** A base model, loaded once, with any number of adapters. Swapping costs nothing: adapters are fed with each run. */
export class AdapterSession {
  readonly #session: Session;
  readonly #inputs: readonly AdapterInput[];
  readonly #feeds: ReadonlyMap<string, AdapterFeeds>;
  readonly #base: AdapterFeeds;
  readonly #modelInputs: readonly string[];

  /** Used by {@link AdapterSession.create}. */
  private constructor(session: Session, inputs: readonly AdapterInput[], feeds: ReadonlyMap<string, AdapterFeeds>) {
    this.#session = session;
    this.#inputs = inputs;
    this.#feeds = feeds;
    this.#base = baseFeeds(inputs, idleRank(session.provider));
    const own = new Set(inputs.map(({ name }) => name));
    this.#modelInputs = session.inputNames.filter((name) => !own.has(name));
  }

  /** Injects the adapters' places into the base and loads it. */
  static async create({
    base,
    types,
    adapters,
    runtime,
    options,
    name,
  }: AdapterSessionRequest): Promise<AdapterSession> {
    const plan = joinPlans(Object.values(adapters));
    const { model, inputs } = injectAdapters(base, plan, { types, mode: 'inference' });
    const session = await runtime.createSession({ ...sessionModel(model), name }, options);
    const idle = idleRank(session.provider);
    const feeds = new Map(Object.entries(adapters).map(([key, placed]) => [key, adapterFeeds(placed, inputs, idle)]));
    return new AdapterSession(session, inputs, feeds);
  }

  /** The provider that the model runs on. */
  get provider(): Exclude<Provider, 'auto'> {
    return this.#session.provider;
  }

  /** The model's own inputs, adapters aside. */
  get inputNames(): readonly string[] {
    return this.#modelInputs;
  }

  get outputNames(): readonly string[] {
    return this.#session.outputNames;
  }

  get adapterNames(): readonly string[] {
    return [...this.#feeds.keys()];
  }

  /**
   * Runs the model once.
   *
   * @param feeds one tensor per input of the model, `[batch, ...]`
   * @param options `adapter`: one name for all rows, or an array with a name per row; null or nothing is the base
   * @throws OnnxLoraError `INPUT_INVALID` for an unknown adapter, a missing input, or as many names as there are not rows
   */
  async run(feeds: Feeds, options: { readonly adapter?: AdapterChoice } = {}): Promise<Record<string, Tensor>> {
    const adapter = this.#adapterFeeds(options.adapter ?? null, feeds);
    return this.#session.run({ ...feeds, ...Object.fromEntries(adapter) });
  }

  /** Frees the native session. */
  async release(): Promise<void> {
    await this.#session.release();
  }

  #adapterFeeds(choice: AdapterChoice, feeds: Feeds): AdapterFeeds {
    if (choice === null || typeof choice === 'string') return this.#named(choice);
    const rows = feeds[this.#modelInputs[0] ?? '']?.dims[0];
    if (rows !== undefined && rows !== choice.length) {
      throw new OnnxLoraError(
        'INPUT_INVALID',
        `${choice.length} adapter names were given for a batch of ${rows} rows. Give one name per row.`,
      );
    }
    const distinct = new Set(choice);
    if (distinct.size === 1) return this.#named(choice[0]!);
    return mixedFeeds(
      choice.map((name) => this.#named(name)),
      this.#inputs,
    );
  }

  #named(name: string | null): AdapterFeeds {
    if (name === null) return this.#base;
    const feeds = this.#feeds.get(name);
    if (feeds) return feeds;
    const names = [...this.#feeds.keys()];
    throw new OnnxLoraError(
      'INPUT_INVALID',
      `This session has no adapter "${name}".${didYouMean(name, names)} It has ${names.join(', ') || 'none'}; name one of these, or null for the base.`,
    );
  }
}
