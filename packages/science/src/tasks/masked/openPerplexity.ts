/** @file Says of sequences how well a model knows them. */

import type { Predictor, RunnableModel } from '@onnx-lora/sdk/tasks';
import { type GuesserOptions, openGuesser } from '@onnx-lora/sequences';
import type { SequenceDataOptions } from '../../data/sequenceRecord.ts';
import { sequenceDomain } from '../../domain.ts';

/** Options of {@link openPerplexity}. */
export type PerplexityOptions = GuesserOptions<SequenceDataOptions>;

/**
 * Loads a model that answers `{ id, perplexity, accuracy, masked }` about each sequence of a file: how it guesses `masked` tokens
 * of it, the same each time. Low perplexities are of sequences like those that it was trained on.
 *
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` for a model that does not guess masked tokens; `CONFIG_INVALID`, `FILE_NOT_FOUND` of
 *   its tokenizer
 */
export function openPerplexity(model: RunnableModel, options?: PerplexityOptions): Promise<Predictor> {
  return openGuesser(sequenceDomain, model, options);
}
