/** @file What answers about whole sequences, whatever the answer is. */

import type {
  Adapter,
  AnswererOptions,
  Prediction,
  RecordAnswerer,
  RunnableModel,
  RunnableOptions,
} from '@onnx-lora/sdk';
import { dataOptions } from '../../data/dataSettings.ts';
import type { SequenceDataOptions } from '../../data/sequenceSource.ts';
import type { SequenceTokenizer } from '../../tokenizers/sequenceTokenizer.ts';
import { requireHead } from '../sequenceHead.ts';
import { openSequenceInput } from '../sequenceInput.ts';
import { lengthOptions } from '../sequenceSettings.ts';
import type { LengthOptions } from '../sequenceTask.ts';
import { answeringAdapters } from './answeringAdapters.ts';
import { averagedAnswer, type AveragedAnswer } from './recordAnswer.ts';
import { recordAnswers } from './recordAnswers.ts';
import { requireAnswers } from './requireAnswers.ts';

/** Options of what answers about sequences. */
export interface SequenceAnswererOptions extends LengthOptions {
  /** The adapters that answer; several answer together, with the mean of what each says. The base alone without one. */
  readonly adapters?: readonly Adapter[] | undefined;
  /** How the model is to be loaded. */
  readonly load?: Omit<RunnableOptions, 'adapters'> | undefined;
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
export async function sequenceAnswerer(
  model: RunnableModel,
  { adapters, load, data, ...input }: SequenceAnswererOptions,
  noun: string,
  made: (outputs: number) => SequenceAnswers,
): Promise<RecordAnswerer & AsyncDisposable> {
  requireAnswers(adapters ?? [], noun);
  const { output, outputs } = requireHead(model, noun);
  const { answerOf, shown } = made(outputs);
  return recordAnswers({
    model,
    input: await openSequenceInput(model, input),
    ...(adapters && { adapters }),
    load,
    data,
    outputs: [output],
    answer: ({ id }, rows) => [{ id, ...shown(averagedAnswer(rows, output, outputs, answerOf)) }],
  });
}

/** The options that the command line's words stand for. */
export async function answererOptions({
  adapter,
  load,
  settings = {},
}: AnswererOptions): Promise<SequenceAnswererOptions> {
  const adapters = await answeringAdapters(adapter, settings);
  return { adapters, load, data: dataOptions(settings), ...lengthOptions(settings) };
}
