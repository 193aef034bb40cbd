/** @file Answers about the sequences of files of any size. */

import {
  type AnsweredRow,
  type Outputs,
  type Prediction,
  type Predictor,
  recordPredictor,
  type RecordPredictorOptions,
  type RunnableModel,
} from '@onnx-lora/sdk/tasks';
import type { PredictorInput } from '@onnx-lora/sdk/plugin';
import type { SequenceRecord } from '../../data/sequenceRecord.ts';
import type { SequenceDataOptions } from '../../data/sequenceSource.ts';
import { sequenceEndings, streamSequences } from '../../data/streamSequences.ts';
import type { SequenceInput } from '../sequenceInput.ts';
import type { TokenRow } from '../sequenceTask.ts';
import { rowOfOutputs } from './rowOfOutputs.ts';

/** What predictors of sequences are asked about. */
export const sequenceFiles: PredictorInput = { endings: sequenceEndings, streams: true, records: true };

/** A row that a sequence was fed as: `found` is what the model gave, outputs `[1, …]`, padding included. */
export type SequenceRow<Row extends TokenRow = TokenRow> = AnsweredRow<Row, Outputs>;

/** What {@link sequencePredictor} is made from. */
export interface SequencePredictorRequest<Row extends TokenRow>
  extends RecordPredictorOptions, Pick<Predictor, 'writer' | 'writerEndings'> {
  /** The model as its adapter answers with it. */
  readonly model: RunnableModel;
  readonly input: SequenceInput;
  /** How files are read: columns, alphabet, wild type. */
  readonly data?: Pick<SequenceDataOptions, 'alphabet' | 'columns' | 'illegal' | 'wildType'> | undefined;
  /** Names of the outputs that answers are made of; values inside the graph are made outputs. */
  readonly outputs: readonly string[];
  /** Batches that are read ahead; 16 by default. Fewer where answers are large. */
  readonly lookAhead?: number;
  /** Rows that a record is fed as. */
  readonly rows: (record: SequenceRecord) => readonly Row[];
  /** Answers that a record gets, where that is not one. */
  readonly count?: (record: SequenceRecord) => number;
  /** The answers about a record, given its rows in their order. */
  readonly answers: (record: SequenceRecord, rows: readonly SequenceRow<Row>[]) => readonly Prediction[];
}

/**
 * A model that answers about the sequences of its sources.
 *
 * @throws OnnxLoraError as `recordPredictor`
 */
export async function sequencePredictor<Row extends TokenRow>(
  request: SequencePredictorRequest<Row>,
): Promise<Predictor> {
  const { model, input, data, outputs, lookAhead, rows, count, answers, writer, writerEndings, ...options } = request;
  const predictor = await recordPredictor<SequenceRecord, Row, Outputs>(
    model,
    {
      outputs,
      async *records(source) {
        for await (const { record, read, total } of streamSequences(source, data)) yield { item: record, read, total };
      },
      rows,
      ...(count && { count }),
      lengths: {
        of: ({ ids }) => ids.length,
        isPadded: input.ports.mask !== undefined || input.ports.length !== undefined,
        ...(lookAhead === undefined ? {} : { lookAhead }),
      },
      feeds: (batch) => input.feeds(batch),
      decode: (given, _, batch) => batch.map((__, row) => rowOfOutputs(given, row)),
      answers,
    },
    options,
  );
  return { ...predictor, ...(writer && { writer }), ...(writerEndings && { writerEndings }) };
}
