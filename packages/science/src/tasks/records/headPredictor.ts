/** @file What answers about whole sequences, whatever the answer is. */

import type {
  Adapter,
  Prediction,
  Predictor,
  PredictorOptions,
  RecordPredictorOptions,
  RunnableModel,
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
import { requireAnswers } from './requireAnswers.ts';
import { sequencePredictor } from './sequencePredictor.ts';

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

/** The options that the command line's words stand for. */
export async function sequenceOptionsOf({
  settings = {},
  ...options
}: PredictorOptions): Promise<SequencePredictorOptions> {
  const [, ...ensemble] = await answeringAdapters(options.adapter, settings);
  return { ...options, ensemble, data: dataOptions(settings), ...lengthOptions(settings) };
}
