/** @file Common part of predictors of whole sequences. */

import { type Adapter, OnnxLoraError } from '@onnx-lora/sdk';
import {
  type Prediction,
  type Predictor,
  type RecordPredictorOptions,
  type RunnableModel,
  scoresOf,
} from '@onnx-lora/sdk/tasks';
import type { DivideOptions } from '@onnx-lora/sdk/data';
import type { PredictorOptions } from '@onnx-lora/sdk/plugin';
import type { SequenceTokenizer } from '../../tokenizers/sequenceTokenizer.ts';
import type { SequenceDomain } from '../../domain.ts';
import type { SequenceRecord } from '../../record.ts';
import { requireHead } from '../sequenceHead.ts';
import { openSequenceInput, type SequenceInput } from '../sequenceInput.ts';
import type { TokenOptions } from '../sequenceTask.ts';
import { answeringAdapters, type EnsembleSources } from './answeringAdapters.ts';
import { sequencePredictor, type SequenceRow } from './sequencePredictor.ts';

/**
 * Options of what answers about sequences. Where there is an ensemble, its adapters answer together with the one that is chosen,
 * with the mean of what each says.
 */
export interface SequencePredictorOptions<Options = object> extends TokenOptions, RecordPredictorOptions {
  /** How files are read. */
  readonly data?: Partial<Options> | undefined;
}

/** What is said of a record, given what each of its rows was answered with. */
export type SaidOf<R> = (record: R, rows: readonly Pick<SequenceRow, 'row' | 'members'>[]) => Prediction;

/** A head that answers, and what feeds the model. */
export interface OpenedHead {
  /** What feeds the model. */
  readonly input: SequenceInput;
  /** Name of the output. */
  readonly output: string;
  /** Number of its columns. */
  readonly outputs: number;
}

/**
 * Answers `{ id, … }` about sequences, with the head that the model has or its adapter brings.
 * @param asked what it answers with, for errors (`classes`), and where it answers about each token what looks whether it can
 * @param made asked with the head
 * @throws OnnxLoraError `CONFIG_INVALID` for adapters that answer something else; `MODEL_UNSUPPORTED` for a model without a head; as
 *   `openSequenceInput`, `model.session`
 */
export async function openHead<R extends SequenceRecord, Source, Options extends DivideOptions<R>>(
  domain: SequenceDomain<R, Source, Options>,
  model: RunnableModel,
  options: SequencePredictorOptions<Options>,
  { noun, each }: { readonly noun: string; readonly each?: (tokenizer: SequenceTokenizer) => void },
  made: (head: OpenedHead) => SaidOf<R>,
): Promise<Predictor> {
  const { adapter, adapters = {}, ensemble = [] } = options;
  requireAnswers([...(adapter ? [adapter] : []), ...Object.values(adapters), ...ensemble], noun);
  const tokens: TokenOptions = each ? { ...options, tooLong: options.tooLong ?? 'windows' } : options;
  const input = await openSequenceInput(model, tokens, domain);
  each?.(input.tokenizer);
  const { output, outputs } = requireHead(model, noun, domain.noun, each && input.tokenizer);
  const said = made({ input, output, outputs });
  return sequencePredictor(domain, {
    ...options,
    model,
    input,
    outputs: [output],
    rows: input.rows,
    answers: (record, rows) => [{ id: record.id, ...said(record, rows) }],
  });
}

/** Kind of answers by the suffix of the training task. */
const answersOf: Readonly<Record<string, string>> = {
  classification: 'classes',
  labelling: 'labels',
  regression: 'numbers',
};

/**
 * A number looks like the score of a single class, and would be answered as one that is certain.
 * @param noun what the task answers with, in the plural: `classes`
 * @throws OnnxLoraError `CONFIG_INVALID` for an adapter of a task that is known to answer with something else
 */
function requireAnswers(adapters: readonly Adapter[], noun: string): void {
  for (const { notes } of adapters) {
    const own = answersOf[notes.task?.split('-').at(-1) ?? ''];
    if (own === undefined || own === noun) continue;
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `The adapter was trained for the task ${notes.task!} and answers with ${own}, not with ${noun}. Take that task (--task ${notes.task!}), or leave it out.`,
    );
  }
}

/** What a task makes of scores. */
export interface WholeAnswers {
  /** What a row of scores says: numbers or probabilities. Those of windows and adapters are averaged. */
  readonly answerOf: (scores: Float32Array) => ArrayLike<number>;
  /** The prediction, without what the record is called. */
  readonly shown: (answer: AveragedAnswer) => Prediction;
}

/** As {@link openHead}, of whole sequences; `made` is asked with the number of outputs. */
export function headPredictor<R extends SequenceRecord, Source, Options extends DivideOptions<R>>(
  domain: SequenceDomain<R, Source, Options>,
  model: RunnableModel,
  options: SequencePredictorOptions<Options>,
  noun: string,
  made: (outputs: number) => WholeAnswers,
): Promise<Predictor> {
  return openHead(domain, model, options, { noun }, ({ output, outputs }) => {
    const { answerOf, shown } = made(outputs);
    return (_, rows) => shown(averagedAnswer(rows, output, outputs, answerOf));
  });
}

/** The options of a predictor, with what its settings gave. */
export async function sequenceOptionsOf<Options extends EnsembleSources & TokenOptions>(
  options: Omit<PredictorOptions, 'settings'>,
  { ensemble: sources, maxLength, tooLong, overlap, tokenizer, ...data }: Options,
): Promise<SequencePredictorOptions<Options>> {
  const [, ...ensemble] = await answeringAdapters(options.adapter, sources);
  return { ...options, ensemble, data: data as Partial<Options>, maxLength, tooLong, overlap, tokenizer };
}

/** Numbers, and how far adapters that answer together differ. */
export interface AveragedAnswer {
  /** Means, over windows and adapters. */
  readonly mean: readonly number[];
  /** Of each number; absent where one adapter answers. */
  readonly deviation?: readonly number[];
}

/**
 * Means, and deviations with the divisor n − 1.
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
