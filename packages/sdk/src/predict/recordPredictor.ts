/** @file Predictors that answer in one pass: batches of similar length, adapters per row, answers in input order. */

import type { Adapter } from '../adapter/adapter.ts';
import { OnnxLoraError } from '../errors.ts';
import type { Feeds } from '../runtime/tensor.ts';
import { withoutUndefined } from '../plugin/withoutUndefined.ts';
import type {
  AnsweredRow,
  Answer,
  Prediction,
  Predictor,
  PredictOptions,
  RecordProcessor,
  Source,
  SourceRecord,
} from '../plugin/predictor.ts';
import type { PredictorOptions } from '../plugin/taskFactory.ts';
import { type RunnableModel, type RunnableSession, rowsPerRun } from '../plugin/taskModel.ts';
import { lengthBuckets } from './lengthBuckets.ts';
import { chosenAdapter, requireNamedAdapters, sourcesOf } from './sources.ts';

/** Default rows per batch, and largest number of tokens: attention takes quadratic memory. */
const BATCH_SIZE = 32;
const BATCH_TOKENS = 8192;
/** Batches to read ahead, so that rows of similar length come together. */
const LOOK_AHEAD = 16;

/** Name of {@link PredictorOptions.adapter} in the session. */
const ADAPTER = 'adapter';

/** Options of {@link recordPredictor}. */
export interface RecordPredictorOptions extends Pick<PredictorOptions, 'adapter' | 'adapters' | 'load'> {
  /** Adapters that answer together with the chosen one. */
  readonly ensemble?: readonly Adapter[];
}

/**
 * Makes a predictor that answers about each item of its sources in one pass. It reads only a few batches ahead; answers
 * come in the order of the items. @throws OnnxLoraError `CONFIG_INVALID` for adapters of one name; as `model.session`
 */
export async function recordPredictor<Item, Row, Found>(
  model: RunnableModel,
  processor: RecordProcessor<Item, Row, Found>,
  { adapter, adapters = {}, ensemble = [], load }: RecordPredictorOptions = {},
): Promise<Predictor> {
  requireNamedAdapters(adapters);
  if (adapter && Object.hasOwn(adapters, ADAPTER))
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `The adapter that answers is called "${ADAPTER}", and another one has that name too. Give the other one another name.`,
    );
  const members = Object.fromEntries(ensemble.map((each, i) => [`${ADAPTER} ${i + 2}`, each]));
  const chosen = { ...(adapter && { [ADAPTER]: adapter }), ...adapters };
  const inner = (processor.outputs ?? []).filter((name) => !Object.hasOwn(model.outputs, name));
  const session = await (inner.length > 0 ? model.withOutputs(inner) : model).session({
    ...load,
    adapters: { ...chosen, ...members },
  });
  const loaded = { session, members: Object.keys(members), adapters: Object.keys(chosen) };
  // Keeps the adapter's name only; the session has its tensors.
  const usual = adapter ? ADAPTER : null;
  return {
    adapters: loaded.adapters,
    predict: (sources, options = {}) => new Pass(processor, loaded, { adapter: usual, ...options }).answers(sources),
    release: () => session.release(),
    [Symbol.asyncDispose]: () => session.release(),
  };
}

interface Loaded {
  readonly session: RunnableSession;
  /** Names of the ensemble's other adapters. */
  readonly members: readonly string[];
  readonly adapters: readonly string[];
}

interface Waiting<Item, Row, Found> {
  readonly source: number;
  readonly adapter: string | null;
  readonly item: Item;
  readonly rows: readonly Row[];
  found: (AnsweredRow<Row, Found> | undefined)[];
  open: number;
  predictions: readonly Prediction[];
  readonly skip: number;
  readonly read: Pick<Answer, 'read' | 'total'>;
}

interface WaitingRow<Item, Row, Found> {
  readonly of: Waiting<Item, Row, Found>;
  readonly place: number;
  readonly row: Row;
}

interface FedBatch<Item, Row, Found> {
  readonly batch: readonly WaitingRow<Item, Row, Found>[];
  readonly feeds: Feeds;
}

function* answersOf({ source, predictions, skip, read }: Waiting<unknown, unknown, unknown>): Generator<Answer> {
  for (const prediction of predictions.slice(skip)) yield { source, prediction, ...read };
}

class Pass<Item, Row, Found> {
  readonly #processor: RecordProcessor<Item, Row, Found>;
  readonly #loaded: Loaded;
  readonly #options: PredictOptions;
  readonly #batchSize: number;
  readonly #bad = new Set<number>();
  #toSkip: number;

  constructor(processor: RecordProcessor<Item, Row, Found>, loaded: Loaded, options: PredictOptions) {
    this.#processor = processor;
    this.#loaded = loaded;
    this.#options = options;
    const { batchSize = processor.batchSize ?? BATCH_SIZE } = options;
    this.#batchSize = rowsPerRun(loaded.session, batchSize);
    this.#toSkip = options.skip ?? 0;
  }

  async *answers(sources: Iterable<Source> | AsyncIterable<Source>): AsyncGenerator<Answer> {
    const { lengths, lookAhead = lengths ? LOOK_AHEAD : 1 } = this.#processor;
    let waiting: Waiting<Item, Row, Found>[] = [];
    let [held, tokens, number] = [0, 0, 0];
    for await (const source of sourcesOf(sources)) {
      for await (const each of this.#items(source, number)) {
        waiting.push(each);
        held += each.rows.length;
        if (lengths) for (const row of each.rows) tokens += lengths.of(row);
        if (held < lookAhead * this.#batchSize && tokens < lookAhead * BATCH_TOKENS) continue;
        yield* this.#computed(waiting);
        if (this.#options.signal?.aborted) return;
        [waiting, held, tokens] = [[], 0, 0];
      }
      number++;
      if (!this.#processor.records) continue;
      yield* this.#computed(waiting);
      [waiting, held, tokens] = [[], 0, 0];
    }
    yield* this.#computed(waiting);
  }

  async *#items(source: Source, number: number): AsyncGenerator<Waiting<Item, Row, Found>> {
    const processor = this.#processor;
    const adapter = chosenAdapter(this.#options.adapter, source, this.#loaded.adapters);
    try {
      for await (const { item, read, total } of processor.records?.(source) ?? this.#whole(source)) {
        const own = this.#toSkip > 0 ? (processor.count?.(item) ?? 1) : 0;
        if (this.#toSkip > 0 && own <= this.#toSkip) {
          this.#toSkip -= own;
          continue;
        }
        const made = processor.rows(item);
        yield {
          source: number,
          adapter,
          item,
          rows: made,
          found: made.map(() => undefined),
          open: made.length,
          predictions: [],
          skip: this.#toSkip,
          read: withoutUndefined({ read, total }),
        };
        this.#toSkip = 0;
      }
    } catch (error) {
      this.#isBad(number, error);
    }
  }

  async *#whole(source: Source): AsyncGenerator<SourceRecord<Item>> {
    yield { item: this.#processor.read ? await this.#processor.read(source) : (source as Item) };
  }

  /** Reports a bad source. @throws the error without `onBadSource` */
  #isBad(source: number, error: unknown): void {
    const { onBadSource } = this.#options;
    if (!onBadSource) throw error;
    if (!this.#bad.has(source)) onBadSource(source, error);
    this.#bad.add(source);
  }

  /** Computes items in batches of similar length and yields answers in order, reading the next batch meanwhile. */
  async *#computed(waiting: readonly Waiting<Item, Row, Found>[]): AsyncGenerator<Answer> {
    const rows = waiting.flatMap((of) => of.rows.map((row, place) => ({ of, place, row })));
    const batches = this.#batches(rows);
    let answered = 0;
    let upcoming = batches[0] && this.#feeds(batches[0]);
    for (const i of batches.keys()) {
      const fed = await upcoming;
      if (this.#options.signal?.aborted) return;
      upcoming = batches[i + 1] && this.#feeds(batches[i + 1]!);
      upcoming?.catch(() => undefined);
      if (fed) await this.#compute(fed);
      for (; waiting[answered]?.open === 0; answered++) yield* answersOf(waiting[answered]!);
    }
    for (const each of waiting.slice(answered)) yield* answersOf(each);
  }

  #batches(rows: readonly WaitingRow<Item, Row, Found>[]): WaitingRow<Item, Row, Found>[][] {
    const { lengths } = this.#processor;
    const size = this.#batchSize;
    if (!lengths)
      return Array.from({ length: Math.ceil(rows.length / size) }, (_, i) => rows.slice(i * size, (i + 1) * size));
    const limits = { rows: size, tokens: BATCH_TOKENS, isPadded: lengths.isPadded };
    const numbers = lengthBuckets(rows.map(({ row }) => lengths.of(row)), limits); // prettier-ignore
    return numbers.map((batch) => batch.map((i) => rows[i]!));
  }

  async #compute(fed: FedBatch<Item, Row, Found>): Promise<void> {
    const { session, members: others } = this.#loaded;
    const names = fed.batch.map(({ of }) => of.adapter);
    const choices = [names.every((name) => name === names[0]) ? names[0]! : names, ...others];
    const rows = fed.batch.map(({ row }) => row);
    const { outputs } = this.#processor;
    const members: (readonly Found[])[] = [];
    for (const adapter of choices) {
      const given = await session.run(fed.feeds, { adapter, ...(outputs && { fetches: outputs }) });
      const found = this.#processor.decode(given, fed.feeds, rows);
      if (found.length !== rows.length) throw new Error(`decode gives ${found.length} answers for ${rows.length} rows`);
      members.push(found);
    }
    for (const [i, { of, place, row }] of fed.batch.entries()) {
      of.found[place] = { row, found: members[0]![i]!, members: members.map((found) => found[i]!) };
      of.open--;
      if (of.open > 0) continue;
      of.predictions = this.#processor.answers(of.item, of.found as AnsweredRow<Row, Found>[]);
      of.found = [];
    }
  }

  /** The feeds of a batch, without rows of bad sources. */
  async #feeds(batch: readonly WaitingRow<Item, Row, Found>[]): Promise<FedBatch<Item, Row, Found> | undefined> {
    const feedsOf = async (rows: typeof batch): Promise<Feeds> => this.#processor.feeds(rows.map(({ row }) => row));
    try {
      return { batch, feeds: await feedsOf(batch) };
    } catch (error) {
      if (!this.#options.onBadSource) throw error;
      const good: (typeof batch)[number][] = [];
      for (const each of batch) {
        try {
          await feedsOf([each]);
          good.push(each);
        } catch (own) {
          this.#isBad(each.of.source, own);
        }
      }
      if (good.length === batch.length) throw error;
      return good.length > 0 ? { batch: good, feeds: await feedsOf(good) } : undefined;
    }
  }
}
