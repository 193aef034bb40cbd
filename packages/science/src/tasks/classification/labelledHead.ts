/** @file The head that answers with the labels of the data. */

import { chooseHead, differentLabels, type TaskHead } from '@onnx-lora/sdk/tasks';
import { telling } from '@onnx-lora/sdk/data';
import type { SequenceRecord } from '../../data/sequenceRecord.ts';
import type { SequenceSource } from '../../data/sequenceSource.ts';
import { headOnTokens, ownHead, type SequenceHeadOptions } from '../sequenceHead.ts';
import type { SequenceTask } from '../sequenceTask.ts';

/** What is trained and measured, in messages. */
export const NOUN = 'sequences';

/**
 * The head for the labels that the data have, those that are trained on where there are some.
 *
 * @param labelsOf all labels of one record
 * @throws OnnxLoraError as `differentLabels` and `chooseHead` of the SDK
 */
export function labelledHead(
  { model, data, ports }: SequenceTask,
  source: SequenceSource,
  { head: mode = 'auto', pool }: SequenceHeadOptions,
  labelsOf: (record: SequenceRecord) => readonly string[],
): TaskHead {
  const root = typeof source === 'string' ? source : 'the data';
  const names = differentLabels(telling(data).flatMap(labelsOf), { root, noun: NOUN });
  return chooseHead(model, ownHead(model), names, { root, mode, attach: headOnTokens(ports, pool) });
}
