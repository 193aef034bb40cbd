/** @file Masked-language modelling on sequences: the task, its predictor and its factory. */

import type { AnsweringFactory, Predictor, RunnableModel, Task } from '@onnx-lora/sdk/tasks';
import {
  type MaskedScorerOptions,
  type MaskedScores,
  maskedFactory,
  maskedModelling,
  type MaskedModellingOptions,
  openMaskedScorer,
  type SequenceExample,
} from '@onnx-lora/sequences';
import type { SequenceDataOptions, SequenceRecord, SequenceSource } from '../../data/sequenceRecord.ts';
import { sequenceDomain, type SequenceTaskOptions } from '../../domain.ts';

/** Options of {@link maskedLanguageModelling}. */
export interface MaskedLanguageModellingOptions extends SequenceTaskOptions, MaskedModellingOptions {}

/**
 * Masked-language modelling: a model that was pre-trained so goes on learning on sequences of your own, such as those of one
 * protein family or one kind of molecule, before or in place of another task. No labels are needed: any FASTA or CSV file of
 * sequences will do. What is measured on has the same masks each time, so that figures before and after can be compared. A
 * sequence that is too long is cropped, in training at a place that each draw chooses anew. Targets are `labels` int64
 * `[batch, tokens]`, the true ids of tokens to be guessed and −100 elsewhere, and `records` int64 `[batch]`.
 * @example
 * ```ts
 * const task = maskedLanguageModelling('nanobodies.fasta', { validation: 0.1 });
 * const { adapter } = await (await train(esm2, { task })).done;
 * ```
 */
export function maskedLanguageModelling(
  source: SequenceSource,
  options: MaskedLanguageModellingOptions = {},
): Task<SequenceExample<undefined, SequenceRecord>, MaskedScores> {
  return maskedModelling('masked-language-modelling', sequenceDomain, source, options);
}

/** Options of {@link openPerplexity}. */
export type PerplexityOptions = MaskedScorerOptions<SequenceDataOptions>;

/**
 * Loads a model that answers `{ id, perplexity, accuracy, masked }` about each sequence of a file: how it guesses `masked` tokens
 * of it, the same each time. Low perplexities are of sequences like those that it was trained on.
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` for a model that does not guess masked tokens; `CONFIG_INVALID`, `FILE_NOT_FOUND` of
 *   its tokenizer
 */
export function openPerplexity(model: RunnableModel, options?: PerplexityOptions): Promise<Predictor> {
  return openMaskedScorer(sequenceDomain, model, options);
}

/** Makes `masked-language-modelling` tasks, and what says how well a model knows sequences, see {@link openPerplexity}. */
export const maskedLanguageModellingTask: AnsweringFactory = maskedFactory(sequenceDomain, {
  name: 'masked-language-modelling',
  description:
    'Goes on with what the model was pre-trained on, with sequences of your own; the data is sequences without labels.',
  task: maskedLanguageModelling,
});
