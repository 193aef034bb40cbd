/** @file Predictors of one pass: batches of like length, adapters by row, and answers in the order of what was asked. */

import type { Adapter } from '../../adapter/adapter.ts';
import type { AdapterSession } from '../../adapter/session.ts';
import { didYouMean, OnnxLoraError } from '../../errors.ts';
import type { Feeds, Tensor } from '../../runtime/tensor.ts';
import type { Answer, Prediction, Predictor, PredictOptions, Source } from '../predictor.ts';
import type { PredictorOptions } from '../taskFactory.ts';
import type { RunnableModel } from '../taskModel.ts';
import { lengthBuckets } from './lengthBuckets.ts';

/** Rows of one batch without a word of the user's, and most tokens of it: attention takes memory by their square. */
const BATCH_SIZE = 32;
const BATCH_TOKENS = 8192;
/** Batches that are read ahead, so that rows of like length come together. */
const LOOK_AHEAD = 16;

/** The name of {@link PredictorOptions.adapter} in the session. */
const ADAPTER = 'adapter';

/** Tensors by the names of the model's outputs. */
export type Outputs = Readonly<Record<string, Tensor>>;

/** A record of a source, such as a sequence of a FASTA file. */
export interface SourceRecord<Item> {
  /** What is asked about. */
  readonly item: Item;
  /** Bytes of the source that were read up to its end. */
  readonly read?: number;
  /** Bytes of the source; absent where it has no end yet. */
  readonly total?: number | undefined;
}

/** A row that an item was fed as, and what was made of the outputs for it. */
export interface AnsweredRow<Row, Found> {
  readonly row: Row;
  readonly found: Found;
  /** By each adapter of an ensemble: the first is `found`. */
  readonly members: readonly Found[];
}

/**
 * What {@link recordPredictor} is made from: the records of a source, the rows that a record is fed as, their feeds, and what the
 * outputs mean. `Found` is what is kept of a row until all rows of its record are there.
 */
export interface RecordProcessor<Item, Row, Found> {
  /** Names of the outputs that answers are made of; values inside the graph are made outputs. All of the model's by default. */
  readonly outputs?: readonly string[];
  /**
   * The records of a source, one by one. Batches end with the source. Without it a source is one item itself, and batches hold
   * those of several.
   */
  records?(source: Source): AsyncIterable<SourceRecord<Item>>;
  /** Rows that an item is fed as, one at least. */
  rows(item: Item): readonly Row[];
  /** Answers that an item gets, where that is not one: by it those that are there already are passed over. */
  count?(item: Item): number;
  /** For rows of different lengths: those of about one length are computed together. */
  readonly lengths?: {
    /** How long a row is, in tokens. */
    of(row: Row): number;
    /** False where the model cannot tell padding from tokens, so that rows of a batch must be equally long. */
    readonly isPadded: boolean;
    /** Batches that are read ahead; 16 by default. Fewer where answers are large. */
    readonly lookAhead?: number;
  };
  /** The model's feeds for these rows. */
  feeds(rows: readonly Row[]): Feeds | Promise<Feeds>;
  /** What is kept of a batch, one per row. */
  decode(outputs: Outputs, feeds: Feeds, rows: readonly Row[]): readonly Found[];
  /** The answers about an item, given its rows in their order. */
  answers(item: Item, rows: readonly AnsweredRow<Row, Found>[]): readonly Prediction[];
}

/** Options of {@link recordPredictor}. */
export interface RecordPredictorOptions extends Pick<PredictorOptions, 'adapter' | 'adapters' | 'load'> {
  /** Adapters that answer together with the one that is chosen. */
  readonly ensemble?: readonly Adapter[];
}

/**
 * A model that answers in one pass about each item of its sources. No more than a few batches are read ahead and held in memory;
 * answers come in the order of the items, whichever were computed together.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for adapters of one name; as `model.session`
 */
export async function recordPredictor<Item, Row, Found>(
  model: RunnableModel,
  processor: RecordProcessor<Item, Row, Found>,
  { adapter, adapters = {}, ensemble = [], load }: RecordPredictorOptions = {},
): Promise<Predictor> {
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
  return {
    adapters: loaded.adapters,
    predict: (sources, options = {}) =>
      new Pass(processor, loaded, { adapter: adapter ? ADAPTER : null, ...options }).answers(sources),
    release: () => session.release(),
    [Symbol.asyncDispose]: () => session.release(),
  };
}

interface Loaded {
  readonly session: AdapterSession;
  /** Names of the adapters that answer with whichever is chosen. */
  readonly members: readonly string[];
  /** Names that may be chosen. */
  readonly adapters: readonly string[];
}

/** An item that waits for its answers. */
interface Waiting<Item, Row, Found> {
  readonly source: number;
  readonly adapter: string | null;
  readonly item: Item;
  readonly rows: readonly Row[];
  /** What is known of its rows so far. */
  found: (AnsweredRow<Row, Found> | undefined)[];
  /** Rows that are still to be computed. */
  open: number;
  predictions: readonly Prediction[];
  /** Answers of it that are there already. */
  readonly skip: number;
  readonly read: Pick<Answer, 'read' | 'total'>;
}

/** A row of an item that waits. */
interface WaitingRow<Item, Row, Found> {
  readonly of: Waiting<Item, Row, Found>;
  readonly place: number;
  readonly row: Row;
}

/** One call of `predict`. */
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
    this.#batchSize = options.batchSize ?? BATCH_SIZE;
    this.#toSkip = options.skip ?? 0;
  }

  async *answers(sources: Iterable<Source> | AsyncIterable<Source>): AsyncGenerator<Answer> {
    const { lengths } = this.#processor;
    const lookAhead = lengths ? (lengths.lookAhead ?? LOOK_AHEAD) : 1;
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

  /** The items of a source for which there are no answers yet. */
  async *#items(source: Source, number: number): AsyncGenerator<Waiting<Item, Row, Found>> {
    const processor = this.#processor;
    const adapter = chosenAdapter(this.#options.adapter, source, this.#loaded.adapters);
    try {
      for await (const { item, read, total } of processor.records?.(source) ?? [
        { item: source as Item } as SourceRecord<Item>,
      ]) {
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
          read: { ...(read === undefined ? {} : { read }), ...(total === undefined ? {} : { total }) },
        };
        this.#toSkip = 0;
      }
    } catch (error) {
      this.#isBad(number, error);
    }
  }

  /** @throws the error where nobody wants to hear of it */
  #isBad(source: number, error: unknown): void {
    const { onBadSource } = this.#options;
    if (!onBadSource) throw error;
    if (!this.#bad.has(source)) onBadSource(source, error);
    this.#bad.add(source);
  }

  /** Computes what waits, rows of like length together, and answers in its order. */
  async *#computed(waiting: readonly Waiting<Item, Row, Found>[]): AsyncGenerator<Answer> {
    const rows = waiting.flatMap((of) => of.rows.map((row, place) => ({ of, place, row })));
    for (const batch of this.#batches(rows)) {
      if (this.#options.signal?.aborted) return;
      await this.#compute(batch);
    }
    for (const { source, predictions, skip, read } of waiting)
      for (const prediction of predictions.slice(skip)) yield { source, prediction, ...read };
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

  async #compute(batch: readonly WaitingRow<Item, Row, Found>[]): Promise<void> {
    const fed = await this.#feeds(batch);
    if (!fed) return;
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
      // What the model gave is let go as soon as it has been made use of.
      of.predictions = this.#processor.answers(of.item, of.found as AnsweredRow<Row, Found>[]);
      of.found = [];
    }
  }

  /** The feeds of a batch, without the rows of sources that cannot be read. */
  async #feeds(
    batch: readonly WaitingRow<Item, Row, Found>[],
  ): Promise<{ readonly batch: typeof batch; readonly feeds: Feeds } | undefined> {
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

/** The sources one by one; a path alone is one, and not its letters. */
export async function* sourcesOf(sources: string | Iterable<Source> | AsyncIterable<Source>): AsyncGenerator<Source> {
  if (typeof sources === 'string') yield sources;
  else yield* sources;
}

/**
 * The adapter that answers about a source: one of those that are known by their names, or null for the base.
 *
 * @throws OnnxLoraError `INPUT_INVALID` for another name
 */
export function chosenAdapter(
  adapter: PredictOptions['adapter'],
  source: Source,
  known: readonly string[],
): string | null {
  const name = (typeof adapter === 'function' ? adapter(source) : adapter) ?? null;
  if (name === null || known.includes(name)) return name;
  throw new OnnxLoraError(
    'INPUT_INVALID',
    `There is no adapter "${name}".${didYouMean(name, known)} Those that the predictor was opened with are ${known.join(', ') || 'none'}.`,
  );
}
