/** @file Teaches encoders more about texts of a kind, without labels: they guess masked tokens. */

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
import type { TextDataOptions, TextSource } from '../../data/textColumns.ts';
import { textDomain, type TextTaskOptions } from '../../domain.ts';

/** Options of {@link maskedTextModelling}. */
export interface MaskedTextModellingOptions extends TextTaskOptions, MaskedModellingOptions {}

/**
 * Masked-language modelling: an encoder with its head for masked tokens goes on learning on texts of your own, such as mails or
 * manuals, before or in place of another task. A line of a `.txt` file is a text, and so is a row of a table; no labels are needed.
 * @example
 * ```ts
 * const task = maskedTextModelling('manuals.txt', { validation: 0.1 });
 * const { adapter } = await (await train(model, { task })).done;
 * ```
 */
export function maskedTextModelling(
  source: TextSource,
  options: MaskedTextModellingOptions = {},
): Task<SequenceExample<undefined>, MaskedScores> {
  return maskedModelling('masked-text-modelling', textDomain, source, options);
}

/**
 * Loads a model that answers `{ id, perplexity, accuracy, masked }` about each text of a file: how it guesses `masked` tokens of it, the
 * same each time.
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` for a model that does not guess masked tokens; `CONFIG_INVALID`, `FILE_NOT_FOUND` of its
 *   tokenizer
 */
export function openTextPerplexity(
  model: RunnableModel,
  options?: MaskedScorerOptions<TextDataOptions>,
): Promise<Predictor> {
  return openMaskedScorer(textDomain, model, options);
}

/** Makes `masked-text-modelling` tasks, and what says how well a model knows texts. */
export const maskedTextModellingTask: AnsweringFactory = maskedFactory(textDomain, {
  name: 'masked-text-modelling',
  description:
    'Goes on with what an encoder was pre-trained on, with texts of your own; the data is lines, or a column of texts, without labels.',
  task: maskedTextModelling,
});
