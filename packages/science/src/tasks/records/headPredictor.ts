/** @file What answers about whole sequences, whatever the answer is. */

import type { Adapter } from '@onnx-lora/sdk';
import {
  type Prediction,
  type Predictor,
  type RecordPredictorOptions,
  type RunnableModel,
  scoresOf,
} from '@onnx-lora/sdk/tasks';
import type { PredictorOptions } from '@onnx-lora/sdk/plugin';
import type { SequenceDataOptions } from '../../data/sequenceRecord.ts';
import type { SequenceTokenizer } from '../../tokenizers/sequenceTokenizer.ts';
import { requireHead } from '../sequenceHead.ts';
import { openSequenceInput } from '../sequenceInput.ts';
import type { LengthOptions, SequenceTaskOptions } from '../sequenceTask.ts';
import { answeringAdapters, type EnsembleOptions } from './answeringAdapters.ts';
import { requireAnswers } from './requireAnswers.ts';
import { sequencePredictor, type SequenceRow } from './sequencePredictor.ts';

/**
 * Options of what answers about sequences. Where there is an ensemble, its adapters answer together with the one that is chosen,
 * with the mean of what each says.
 */
export interface SequencePredictorOptions extends LengthOptions, RecordPredictorOptions {
  /** How files are read. */
  readonly data?: Pick<SequenceDataOptions, 'alphabet' | 'columns' | 'illegal' | 'wildType'> | undefined;
  /** The tokenizer of the model's folder by default. */
  readonly tokenizer?: SequenceTokenizer | undefined;
}

/** What a task makes of scores. */
export interface SequenceAnswers {
  /** What a row of scores says: numbers or probabilities. Those of windows and adapters are averaged. */
  readonly answerOf: (scores: Float32Array) => ArrayLike<number>;
  /** The prediction, without what the record is called. */
  readonly shown: (answer: AveragedAnswer) => Prediction;
}

/**
 * Answers `{ id, … }` about sequences, with the head that the model has or its adapter brings.
 *
 * @param noun what it answers with, for errors: `classes`
 * @param made asked with the number of outputs of the head
 * @throws OnnxLoraError `CONFIG_INVALID` for adapters that answer something else; `MODEL_UNSUPPORTED` for a model without a head; as `openSequenceInput`, `model.session`
 */
export async function headPredictor(
  model: RunnableModel,
  options: SequencePredictorOptions,
  noun: string,
  made: (outputs: number) => SequenceAnswers,
): Promise<Predictor> {
  requireAnswers(adaptersIn(options), noun);
  const { output, outputs } = requireHead(model, noun);
  const { answerOf, shown } = made(outputs);
  const input = await openSequenceInput(model, options);
  return sequencePredictor({
    ...options,
    model,
    input,
    outputs: [output],
    rows: input.rows,
    answers: ({ id }, rows) => [{ id, ...shown(averagedAnswer(rows, output, outputs, answerOf)) }],
  });
}

/** All adapters that may answer. */
export function adaptersIn({ adapter, adapters = {}, ensemble = [] }: RecordPredictorOptions): readonly Adapter[] {
  return [...(adapter ? [adapter] : []), ...Object.values(adapters), ...ensemble];
}

/** The options of a predictor, with what its settings gave. */
export async function sequenceOptionsOf(
  options: Omit<PredictorOptions, 'settings'>,
  { ensemble: sources, maxLength, tooLong, overlap, ...data }: EnsembleOptions & SequenceTaskOptions,
): Promise<SequencePredictorOptions> {
  const [, ...ensemble] = await answeringAdapters(options.adapter, sources);
  return { ...options, ensemble, data, maxLength, tooLong, overlap };
}

/** Numbers, and how far adapters that answer together differ. */
interface AveragedAnswer {
  readonly mean: readonly number[];
  /** Of each number; absent where one adapter answers. */
  readonly deviation?: readonly number[];
}

/**
 * Means, and deviations with the divisor n − 1.
 *
 * @param answerOf what a row of scores says: numbers or probabilities
 */
function averagedAnswer(
  rows: readonly Pick<SequenceRow, 'members'>[],
  output: string,
  outputs: number,
  answerOf: (scores: Float32Array) => ArrayLike<number>,
): AveragedAnswer {
  const each = rows[0]!.members.map((_, member) =>
    meanOf(rows.map((row) => answerOf(scoresOf(row.members[member]!, output, outputs).data))),
  );
  const mean = meanOf(each);
  if (each.length === 1) return { mean };
  const deviation = mean.map((value, i) =>
    Math.sqrt(each.reduce((sum, own) => sum + (own[i]! - value) ** 2, 0) / (each.length - 1)),
  );
  return { mean, deviation };
}

function meanOf(rows: readonly ArrayLike<number>[]): number[] {
  return Array.from(rows[0]!, (_, i) => rows.reduce((sum, row) => sum + row[i]!, 0) / rows.length);
}
