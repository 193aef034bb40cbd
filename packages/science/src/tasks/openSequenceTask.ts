/** @file Opens the data of a task on sequences. */

import { OnnxLoraError, type TaskModel } from '@onnx-lora/sdk';
import { readSequenceData } from '../data/readSequenceData.ts';
import type { SequenceSource } from '../data/sequenceSource.ts';
import { openSequenceInput } from './sequenceInput.ts';
import type { SequenceTask, SequenceTaskOptions } from './sequenceTask.ts';
import { TokenDataset } from './tokenDataset.ts';

/**
 * Reads the data, and makes what turns its sequences into feeds.
 *
 * @throws OnnxLoraError `MODEL_UNSUPPORTED`, `CONFIG_INVALID`, `DATA_INVALID`, `FILE_NOT_FOUND`
 */
export async function openSequenceTask(
  model: TaskModel,
  source: SequenceSource,
  options: SequenceTaskOptions,
): Promise<SequenceTask> {
  const { rules, tokenizer, ports, feeds } = await openSequenceInput(model, options);
  const data = await readSequenceData(source, options);
  if (data.train.length === 0 && !data.validation?.length)
    throw new OnnxLoraError('DATA_INVALID', 'The data have no sequences. Name a file that has some.');
  const { seed = 0 } = options;
  // Rows are padded to few lengths, and none beyond the longest that is trained on.
  let most = 0;
  return {
    model,
    data,
    tokenizer,
    ports,
    dataset: (records, targets, { isTrained = false, isCroppedAtRandom = false } = {}) => {
      const dataset = new TokenDataset(records, targets, { rules, seed, isCroppedAtRandom });
      if (isTrained) for (const length of dataset.lengths) most = Math.max(most, length);
      return dataset;
    },
    feeds: (rows, isTrained) => feeds(rows, isTrained ? most : undefined),
  };
}
