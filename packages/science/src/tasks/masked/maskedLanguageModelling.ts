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
 * Masked language modelling: continues pre-training on your own sequences, such as a protein family or a kind of
 * molecule, before or instead of another task. Needs no labels, only a FASTA or CSV file of sequences. Evaluation masks
 * are fixed, so that figures before and after are comparable. Long sequences are cropped, in training at random.
 * Targets are `labels` int64 `[batch, tokens]`, the true ids of tokens to predict and −100 elsewhere, and `records`
 * int64 `[batch]`.
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
 * Loads a model that answers `{ id, perplexity, accuracy, masked }` for each sequence of a file, by predicting `masked`
 * of its tokens, the same each time. Perplexity is low for sequences like those of the training.
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` for other models; `CONFIG_INVALID`, `FILE_NOT_FOUND` of the tokenizer
 */
export function openPerplexity(model: RunnableModel, options?: PerplexityOptions): Promise<Predictor> {
  return openMaskedScorer(sequenceDomain, model, options);
}

/** The task `masked-language-modelling` and its predictor, see {@link openPerplexity}. */
export const maskedLanguageModellingTask: AnsweringFactory = maskedFactory(sequenceDomain, {
  name: 'masked-language-modelling',
  description: "Continues the model's pre-training with your own sequences; the data is sequences without labels.",
  task: maskedLanguageModelling,
});
