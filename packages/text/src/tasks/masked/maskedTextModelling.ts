/** @file The task `masked-text-modelling`: continued pretraining of encoders on texts without labels. */

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
 * Masked-language modelling: continues the pretraining of an encoder with its masked-language head on your own texts,
 * such as mails or manuals, before or instead of another task. Each line of a `.txt` file, or row of a table, is a
 * text; no labels are needed.
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
 * Loads a model that predicts `{ id, perplexity, accuracy, masked }` for each text of a file, from the same `masked`
 * tokens every time.
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` for a model without a masked-language head; `CONFIG_INVALID`,
 * `FILE_NOT_FOUND` of its tokenizer
 */
export function openTextPerplexity(
  model: RunnableModel,
  options?: MaskedScorerOptions<TextDataOptions>,
): Promise<Predictor> {
  return openMaskedScorer(textDomain, model, options);
}

/** The task `masked-text-modelling` for the command line, with its predictor of perplexities. */
export const maskedTextModellingTask: AnsweringFactory = maskedFactory(textDomain, {
  name: 'masked-text-modelling',
  description:
    'Continues with what an encoder was pre-trained on, with texts of your own; the data is lines, or a column of texts, without labels.',
  task: maskedTextModelling,
});
