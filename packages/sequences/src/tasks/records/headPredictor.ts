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

/** Options of predictors of sequences. An ensemble predicts the mean of the chosen adapter and its other adapters. */
export interface SequencePredictorOptions<Options = object> extends TokenOptions, RecordPredictorOptions {
  /** Options of the domain's reader. */
  readonly data?: Partial<Options> | undefined;
}

/** Makes the prediction of a record from the answers of its rows. */
export type RecordAnswer<R> = (record: R, rows: readonly Pick<SequenceRow, 'row' | 'members'>[]) => Prediction;

/** An opened head with its model's inputs. */
export interface OpenedHead {
  /** Tokenizer and inputs of the model. */
  readonly input: SequenceInput;
  /** Output name. */
  readonly output: string;
  /** Number of columns. */
  readonly outputs: number;
}

/**
 * Opens a predictor `{ id, … }` on the head of the model or its adapter.
 * @param asked noun of the predictions for errors (`classes`), and for predictions per token a check of the tokenizer
 * @param made makes the predictions of an opened head
 * @throws OnnxLoraError `CONFIG_INVALID` for adapters of other tasks; `MODEL_UNSUPPORTED` without a head; like
 * `openSequenceInput`
 */
export async function openHead<R extends SequenceRecord, Source, Options extends DivideOptions<R>>(
  domain: SequenceDomain<R, Source, Options>,
  model: RunnableModel,
  options: SequencePredictorOptions<Options>,
  { noun, each }: { readonly noun: string; readonly each?: (tokenizer: SequenceTokenizer) => void },
  made: (head: OpenedHead) => RecordAnswer<R>,
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

/** Noun of the predictions by the training task's suffix. */
const answersOf: Readonly<Record<string, string>> = {
  classification: 'classes',
  labelling: 'labels',
  regression: 'numbers',
};

/** Rejects adapters of other tasks, as one number would look like a single class with full certainty. */
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

/** Predictions from the scores of whole sequences. */
export interface WholeAnswers {
  /** Turns a row of scores into numbers or probabilities, which are then averaged over windows and adapters. */
  readonly answerOf: (scores: Float32Array) => ArrayLike<number>;
  /** Makes the prediction, without the `id`. */
  readonly shown: (answer: AveragedAnswer) => Prediction;
}

/** {@link openHead} for whole sequences; `made` gets the number of outputs. */
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

/** Adds the task's settings to a predictor's options, and loads the ensemble. */
export async function sequenceOptionsOf<Options extends EnsembleSources & TokenOptions>(
  options: Omit<PredictorOptions, 'settings'>,
  { ensemble: sources, maxLength, tooLong, overlap, tokenizer, ...data }: Options,
): Promise<SequencePredictorOptions<Options>> {
  const [, ...ensemble] = await answeringAdapters(options.adapter, sources);
  return { ...options, ensemble, data: data as Partial<Options>, maxLength, tooLong, overlap, tokenizer };
}

/** Averaged predictions. */
export interface AveragedAnswer {
  /** Means over windows and adapters. */
  readonly mean: readonly number[];
  /** Standard deviation of each number over the adapters; absent with one adapter. */
  readonly deviation?: readonly number[];
}

/** Means over windows and adapters, with standard deviations (divisor n − 1). */
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
