/** @file Teaches models more about sequences without labels: they guess masked tokens. */

import type { Task } from '@onnx-lora/sdk/tasks';
import {
  type GuessScores,
  maskedModelling,
  type MaskedModellingOptions,
  type SequenceExample,
} from '@onnx-lora/sequences';
import type { SequenceRecord, SequenceSource } from '../../data/sequenceRecord.ts';
import { sequenceDomain, type SequenceTaskOptions } from '../../domain.ts';

/** Options of {@link maskedLanguageModelling}. */
export interface MaskedLanguageModellingOptions extends SequenceTaskOptions, MaskedModellingOptions {}

/**
 * Masked-language modelling: a model that was pre-trained so goes on learning on sequences of your own, such as those of one
 * protein family or one kind of molecule, before or in place of another task. No labels are needed: any FASTA or CSV file of
 * sequences will do. What is measured on has the same masks each time, so that figures before and after can be compared. A
 * sequence that is too long is cropped, in training at a place that each draw chooses anew. Targets are `labels` int64
 * `[batch, tokens]`, the true ids of tokens to be guessed and −100 elsewhere, and `records` int64 `[batch]`.
 *
 * @example
 * ```ts
 * const task = maskedLanguageModelling('nanobodies.fasta', { validation: 0.1 });
 * const { adapter } = await (await train(esm2, { task })).done;
 * ```
 */
export function maskedLanguageModelling(
  source: SequenceSource,
  options: MaskedLanguageModellingOptions = {},
): Task<SequenceExample<undefined, SequenceRecord>, GuessScores> {
  return maskedModelling('masked-language-modelling', sequenceDomain, source, options);
}
