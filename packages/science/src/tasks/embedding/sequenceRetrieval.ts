/** @file Teaches a model which sequences are of one kind, such as one family, and measures how well one finds the others. */

import { retrieval, type RetrievalOptions, type SequenceGroup } from '@onnx-lora/sequences';
import type { RetrievalScores, Task } from '@onnx-lora/sdk/tasks';
import type { SequenceRecord, SequenceSource } from '../../data/sequenceRecord.ts';
import { sequenceDomain, type SequenceTaskOptions } from '../../domain.ts';

/** Options of {@link sequenceRetrieval}. */
export interface SequenceRetrievalOptions extends SequenceTaskOptions, RetrievalOptions {}

/**
 * Metric learning on sequences: those of one kind are drawn together, others apart. The kind is the label, or the group where there
 * are no labels; of pairs, the two of each belong together. An example is a group of `perGroup` sequences of one kind. Held-out
 * sequences search each other; they may be of other kinds than those that are trained on.
 *
 * @example
 * ```ts
 * const run = await train(model, { task: sequenceRetrieval('families.csv', { validation: 0.2 }), lora: { r: 8 } });
 * ```
 */
export function sequenceRetrieval(
  source: SequenceSource,
  options: SequenceRetrievalOptions = {},
): Task<SequenceGroup<SequenceRecord>, RetrievalScores> {
  return retrieval(sequenceDomain, source, options);
}
