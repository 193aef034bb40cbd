/** @file Answers about the records of files of any size: batches of like length, answers in the order of the records. */

import type {
  Adapter,
  AdapterSession,
  Prediction,
  RecordAnswer,
  RecordAnswerer,
  RecordAnswersOptions,
  RunnableModel,
  RunnableOptions,
  Tensor,
} from '@onnx-lora/sdk';
import type { SequenceRecord } from '../../data/sequenceRecord.ts';
import type { SequenceDataOptions } from '../../data/sequenceSource.ts';
import { sequenceEndings, streamSequences } from '../../data/streamSequences.ts';
import type { SequenceInput } from '../sequenceInput.ts';
import type { TokenRow } from '../sequenceTask.ts';
import { likeRows } from './likeRows.ts';
import { rowOfOutputs } from './rowOfOutputs.ts';

/** Rows of one batch without a word of the user's, and most tokens of it: attention takes memory by their square. */
const BATCH_SIZE = 32;
const BATCH_TOKENS = 8192;
/** Batches that are read ahead, so that rows of like length come together. */
const LOOK_AHEAD = 16;

/** What the model gave, by name of the output: one row, `[1, …]`, padding included. */
export type RowOutputs = Readonly<Record<string, Tensor>>;

/** A row that a record was fed as, and what the model gave for it. */
export interface AnsweredRow {
  readonly row: TokenRow;
  readonly outputs: RowOutputs;
  /** What each adapter gave, where several answer: the first is `outputs`. */
  readonly members: readonly RowOutputs[];
}

/** What {@link recordAnswers} is made from. */
export interface RecordAnswersRequest {
  /** The model as its adapter answers with it. */
  readonly model: RunnableModel;
  readonly input: SequenceInput;
  /** The adapters that answer, the first before all; the base alone where there are none. */
  readonly adapters?: readonly Adapter[];
  /** How the model is to be loaded. */
  readonly load?: Omit<RunnableOptions, 'adapters'> | undefined;
  /** How files are read: columns, alphabet, wild type. */
  readonly data?: Pick<SequenceDataOptions, 'alphabet' | 'columns' | 'illegal' | 'wildType'> | undefined;
  /** Names of the outputs that answers are made of; values inside the graph are made outputs. */
  readonly outputs: readonly string[];
  /** Batches that are read ahead; 16 by default. Fewer where answers are large. */
  readonly lookAhead?: number;
  /** Rows that a record is fed as; those of {@link SequenceInput.rows} by default. */
  readonly rows?: (record: SequenceRecord) => readonly TokenRow[];
  /** Answers that a record gets, where that is not one: by it those that are there already are passed over. */
  readonly count?: (record: SequenceRecord) => number;
  /** The answers about a record, given its rows in their order. */
  readonly answer: (record: SequenceRecord, rows: readonly AnsweredRow[]) => readonly Prediction[];
  readonly writer?: RecordAnswerer['writer'];
  readonly writerEndings?: RecordAnswerer['writerEndings'];
  readonly sections?: RecordAnswerer['sections'];
}

/**
 * A model that answers record by record. A few batches are read ahead and computed by length; no more is held in memory.
 *
 * @throws OnnxLoraError as `model.session`
 */
export async function recordAnswers(request: RecordAnswersRequest): Promise<RecordAnswerer & AsyncDisposable> {
  const { model, adapters = [], load, outputs, writer, writerEndings, sections } = request;
  const inner = outputs.filter((name) => !Object.hasOwn(model.outputs, name));
  const named = Object.fromEntries(adapters.map((adapter, i) => [String(i), adapter]));
  const session = await (inner.length > 0 ? model.withOutputs(inner) : model).session({ ...load, adapters: named });
  const names = adapters.length > 0 ? Object.keys(named) : [null];
  return {
    fileEndings: sequenceEndings,
    answers: (source, options) => answers(request, { session, names }, source, options),
    ...(writer && { writer }),
    ...(writerEndings && { writerEndings }),
    ...(sections && { sections }),
    release: () => session.release(),
    [Symbol.asyncDispose]: () => session.release(),
  };
}

interface Loaded {
  readonly session: AdapterSession;
  /** Of the adapters that answer; null is the base. */
  readonly names: readonly (string | null)[];
}

/** A record that waits for its answer. */
interface Waiting {
  readonly record: SequenceRecord;
  readonly rows: readonly TokenRow[];
  /** Answers of it that are there already. */
  readonly skip: number;
  readonly read: number;
  readonly total: number | undefined;
}

async function* answers(
  request: RecordAnswersRequest,
  loaded: Loaded,
  source: string | AsyncIterable<Uint8Array>,
  { skip = 0, batchSize = BATCH_SIZE, signal }: RecordAnswersOptions = {},
): AsyncGenerator<RecordAnswer> {
  const { input, data, lookAhead = LOOK_AHEAD, rows = input.rows, count = () => 1 } = request;
  let waiting: Waiting[] = [];
  let [held, tokens] = [0, 0];
  let toSkip = skip;
  for await (const { record, read, total } of streamSequences(source, data)) {
    const own = toSkip > 0 ? count(record) : 0;
    if (toSkip > 0 && own <= toSkip) {
      toSkip -= own;
      continue;
    }
    const made = rows(record);
    waiting.push({ record, rows: made, skip: toSkip, read, total });
    toSkip = 0;
    held += made.length;
    for (const { ids } of made) tokens += ids.length;
    if (held < lookAhead * batchSize && tokens < lookAhead * BATCH_TOKENS) continue;
    yield* answered(request, loaded, waiting, { batchSize, signal });
    if (signal?.aborted) return;
    [waiting, held, tokens] = [[], 0, 0];
  }
  yield* answered(request, loaded, waiting, { batchSize, signal });
}

/** Computes what waits, rows of like length together, and answers in its order. */
async function* answered(
  { input, outputs, answer }: RecordAnswersRequest,
  { session, names }: Loaded,
  waiting: readonly Waiting[],
  { batchSize, signal }: { readonly batchSize: number; readonly signal: AbortSignal | undefined },
): AsyncGenerator<RecordAnswer> {
  const rows = waiting.flatMap((each, record) => each.rows.map((row, place) => ({ row, record, place })));
  const found = waiting.map((each) => each.rows.map((): AnsweredRow | undefined => undefined));
  const open = waiting.map((each) => each.rows.length);
  const predictions = waiting.map((): readonly Prediction[] | undefined => undefined);
  const isPadded = input.ports.mask !== undefined || input.ports.length !== undefined;
  const lengths = rows.map(({ row }) => row.ids.length);
  for (const batch of likeRows(lengths, { rows: batchSize, tokens: BATCH_TOKENS, isPadded })) {
    if (signal?.aborted) return;
    const feeds = input.feeds(batch.map((i) => rows[i]!.row));
    const members: Readonly<Record<string, Tensor>>[] = [];
    for (const adapter of names) members.push(await session.run(feeds, { adapter, fetches: outputs }));
    for (const [at, i] of batch.entries()) {
      const { row, record, place } = rows[i]!;
      const own = members.map((member) => rowOfOutputs(member, at));
      found[record]![place] = { row, outputs: own[0]!, members: own };
      open[record]!--;
      if (open[record]! > 0) continue;
      // What the model gave is let go as soon as it has been made use of.
      predictions[record] = answer(waiting[record]!.record, found[record] as readonly AnsweredRow[]);
      found[record] = [];
    }
  }
  for (const [i, { skip, read, total }] of waiting.entries())
    for (const prediction of predictions[i]!.slice(skip))
      yield { prediction, read, ...(total === undefined ? {} : { total }) };
}
