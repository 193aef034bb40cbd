/** @file One vector per sequence, or one per residue, from any model of sequences. */

import { openEmbedderOf, type SequenceEmbedder, type SequenceEmbedderOptions } from '@onnx-lora/sequences';
import type { RunnableModel } from '@onnx-lora/sdk/tasks';
import { sequenceDomain } from '../../domain.ts';

/**
 * Loads a model of proteins, nucleotides or molecules as one that makes embeddings.
 *
 * @example
 * ```ts
 * const embedder = await openSequenceEmbedder(model);
 * const vectors = await embedder.embed(['MKTAYIAK', 'MKLLV']);
 * await embedder.release();
 * ```
 *
 * @throws OnnxLoraError `CONFIG_INVALID`, `FILE_NOT_FOUND` of the tokenizer; `MODEL_UNSUPPORTED` for a model that reads no tokens or
 *   gives no features; others as `model.session`
 */
export function openSequenceEmbedder(
  model: RunnableModel,
  options?: SequenceEmbedderOptions,
): Promise<SequenceEmbedder> {
  return openEmbedderOf(sequenceDomain, model, options);
}
