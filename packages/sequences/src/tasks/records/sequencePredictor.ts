/** @file Predicts on sequence files of any size. */

import { type Adapter, OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import {
  type AnsweredRow,
  type Outputs,
  type Prediction,
  type Predictor,
  recordPredictor,
  type RecordPredictorOptions,
  type RecordProcessor,
  type RunnableModel,
  type RunnableOptions,
  type Source,
} from '@onnx-lora/sdk/tasks';
import type { DivideOptions } from '@onnx-lora/sdk/data';
import type { SequenceDomain } from '../../domain.ts';
import { requireShort, type SequenceRecord } from '../../record.ts';
import type { SequenceInput } from '../sequenceInput.ts';
import type { TokenRow } from '../sequenceTask.ts';

/** A row that a sequence was fed as: `found` is what the model gave, outputs `[1, …]`, padding included. */
export type SequenceRow<Row extends TokenRow = TokenRow> = AnsweredRow<Row, Outputs>;

/** What answers about sequences are made of. */
export interface SequenceAnswers<Item, Row extends TokenRow> {
  /** What feeds the model. */
  readonly input: SequenceInput;
  /** Names of the outputs that answers are made of; values inside the graph are made outputs. */
  readonly outputs: readonly string[];
  /** Batches that are read ahead; 16 by default. Fewer where answers are large. */
  readonly lookAhead?: number | undefined;
  /** Rows that an item is fed as. */
  readonly rows: (item: Item) => readonly Row[];
  /** Answers that an item gets, where that is not one. */
  readonly count?: ((item: Item) => number) | undefined;
  /** The answers about an item, given its rows in their order. */
  readonly answers: (item: Item, rows: readonly SequenceRow<Row>[]) => readonly Prediction[];
}

/** What {@link sequencePredictor} is made from. */
export interface SequencePredictorRequest<R extends SequenceRecord, Options, Row extends TokenRow>
  extends RecordPredictorOptions, SequenceAnswers<R, Row> {
  /** The model as its adapter answers with it. */
  readonly model: RunnableModel;
  /** Writes answers into files of its own kinds. */
  readonly writer?: Predictor['writer'];
  /** Endings of these files. */
  readonly writerEndings?: Predictor['writerEndings'];
  /** How files are read. */
  readonly data?: Partial<Options> | undefined;
}

/**
 * A model that answers about the sequences of its sources.
 * @throws OnnxLoraError as `recordPredictor`
 */
export async function sequencePredictor<
  R extends SequenceRecord,
  Source,
  Options extends DivideOptions<R>,
  Row extends TokenRow,
>(
  domain: SequenceDomain<R, Source, Options>,
  { model, data = {}, writer, writerEndings, ...request }: SequencePredictorRequest<R, Options, Row>,
): Promise<Predictor> {
  const records: RecordProcessor<R, Row, Outputs>['records'] = async function* (source) {
    for await (const { record, read, total } of domain.stream(source, data)) {
      const { sequence, second = '', where } = record;
      requireShort(sequence.length + second.length, where, request.input.tokenizer.isPerLetter);
      yield { item: record, read, total };
    }
  };
  const predictor = await recordPredictor(model, { ...sequenceProcessor(request), records }, request);
  return { ...predictor, ...(writer && { writer }), ...(writerEndings && { writerEndings }) };
}

/** What is made of sequences and of what the model gives for them; an item is a record, or knows of one. */
export function sequenceProcessor<Item, Row extends TokenRow = TokenRow>({
  input,
  outputs,
  lookAhead,
  rows,
  count,
  answers,
}: SequenceAnswers<Item, Row>): Omit<RecordProcessor<Item, Row, Outputs>, 'records' | 'read'> {
  return {
    outputs,
    rows,
    ...(count && { count }),
    lengths: {
      of: ({ ids }) => ids.length,
      isPadded: input.ports.mask !== undefined || input.ports.length !== undefined,
    },
    ...(lookAhead === undefined ? {} : { lookAhead }),
    feeds: (batch) => input.feeds(batch),
    decode: (given, _, batch) => batch.map((__, row) => rowOfOutputs(given, row)),
    answers,
  };
}

/** A model that is asked about items of any kind, such as places of a sequence. */
export interface SequenceAsker<Item, Found> extends AsyncDisposable {
  /** What is found of each item, in their order. Items are taken as they are needed, a few batches at a time. */
  ask(items: Iterable<Item>): AsyncGenerator<Found>;
  /** Frees the session. */
  release(): Promise<void>;
}

/** How a model is asked. */
export interface AskingOptions extends Omit<RunnableOptions, 'adapters'> {
  /** The base alone without one. */
  readonly adapter?: Adapter | undefined;
  /** Rows per run; 32 by default. */
  readonly batchSize?: number | undefined;
}

/**
 * Loads a model that is asked about items of one row each.
 * @param found what is found of an item in the outputs of its row, `[1, …]`
 * @throws OnnxLoraError `CONFIG_INVALID` for a batch of no rows; as `recordPredictor`
 */
export async function openAsker<Item extends object, Found>(
  model: RunnableModel,
  {
    found,
    row,
    ...request
  }: Pick<SequenceAnswers<Item, TokenRow>, 'input' | 'outputs'> & {
    readonly row: (item: Item) => TokenRow;
    readonly found: (outputs: Outputs, item: Item) => Found;
  },
  { adapter, batchSize = 32, ...load }: AskingOptions,
): Promise<SequenceAsker<Item, Found>> {
  if (!Number.isInteger(batchSize) || batchSize < 1)
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `batchSize must be a whole number of at least 1, but it is ${batchSize}.`,
    );
  const processor = sequenceProcessor<Item>({
    ...request,
    lookAhead: 4,
    rows: (item) => [row(item)],
    answers: (item, [only]) => [{ found: found(only!.found, item) }],
  });
  const predictor = await recordPredictor(model, processor, { load, ...(adapter && { adapter }) });
  return {
    async *ask(items) {
      // Items take the place of files.
      for await (const { prediction } of predictor.predict(items as unknown as Iterable<Source>, { batchSize }))
        yield prediction['found'] as Found;
    },
    release: () => predictor.release(),
    [Symbol.asyncDispose]: () => predictor.release(),
  };
}

/** For what a model says that has diverged. */
export function notNumbers(name: string, hasAdapter: boolean): OnnxLoraError {
  return new OnnxLoraError(
    'LOSS_NOT_FINITE',
    `"${name}" gives scores that are no numbers. ${hasAdapter ? 'The adapter has probably diverged: train it again with a lower learning rate.' : 'Check the model.'}`,
  );
}

/** Slices one row, as a batch of 1. */
function rowOfOutputs(outputs: Outputs, row: number): Outputs {
  return Object.fromEntries(
    Object.entries(outputs).map(([name, { type, dims, data }]): [string, Tensor] => {
      const size = data.length / dims[0]!;
      // A copy, so that the batch can be freed.
      return [name, { type, dims: [1, ...dims.slice(1)], data: data.slice(row * size, (row + 1) * size) }];
    }),
  );
}
