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

/** A fed row of a sequence and its outputs `[1, …]` in `found`, padding included. */
export type SequenceRow<Row extends TokenRow = TokenRow> = AnsweredRow<Row, Outputs>;

/** Definition of a predictor's rows and answers. */
export interface SequenceAnswers<Item, Row extends TokenRow> {
  /** Tokenizer and inputs of the model. */
  readonly input: SequenceInput;
  /** Names of the outputs to compute; inner values of the graph become outputs. */
  readonly outputs: readonly string[];
  /** Batches read ahead; 16 by default. Fewer for large outputs. */
  readonly lookAhead?: number | undefined;
  /** Rows of an item. */
  readonly rows: (item: Item) => readonly Row[];
  /** Number of answers per item; 1 by default. */
  readonly count?: ((item: Item) => number) | undefined;
  /** Answers of an item from its rows, in order. */
  readonly answers: (item: Item, rows: readonly SequenceRow<Row>[]) => readonly Prediction[];
}

/** Input of {@link sequencePredictor}. */
export interface SequencePredictorRequest<R extends SequenceRecord, Options, Row extends TokenRow>
  extends RecordPredictorOptions, SequenceAnswers<R, Row> {
  /** The model with the adapter's head. */
  readonly model: RunnableModel;
  /** Writes predictions to other file formats. */
  readonly writer?: Predictor['writer'];
  /** Extensions of these formats. */
  readonly writerEndings?: Predictor['writerEndings'];
  /** Options of the domain's reader. */
  readonly data?: Partial<Options> | undefined;
}

/**
 * Opens a predictor on the sequences of its sources.
 * @throws OnnxLoraError like `recordPredictor`
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

/** Turns items into rows and outputs into answers; an item is a record or refers to one. */
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

/** A model that evaluates items of any kind, such as positions of a sequence. */
export interface ItemModel<Item, Found> extends AsyncDisposable {
  /** Evaluates items in order; they are taken lazily, a few batches ahead. */
  ask(items: Iterable<Item>): AsyncGenerator<Found>;
  /** Frees the session. */
  release(): Promise<void>;
}

/** Options of {@link openItemModel}. */
export interface ItemModelOptions extends Omit<RunnableOptions, 'adapters'> {
  /** The adapter; without one the base alone. */
  readonly adapter?: Adapter | undefined;
  /** Rows per run; 32 by default. */
  readonly batchSize?: number | undefined;
}

/**
 * Loads a model to evaluate items of one row each; `found` reads the row's outputs `[1, …]`.
 * @throws OnnxLoraError `CONFIG_INVALID` for a batch size below 1; like `recordPredictor`
 */
export async function openItemModel<Item extends object, Found>(
  model: RunnableModel,
  {
    found,
    row,
    ...request
  }: Pick<SequenceAnswers<Item, TokenRow>, 'input' | 'outputs'> & {
    readonly row: (item: Item) => TokenRow;
    readonly found: (outputs: Outputs, item: Item) => Found;
  },
  { adapter, batchSize = 32, ...load }: ItemModelOptions,
): Promise<ItemModel<Item, Found>> {
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

/** The error for NaN scores, mostly of a diverged adapter. */
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
