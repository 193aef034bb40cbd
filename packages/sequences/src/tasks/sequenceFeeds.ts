/** @file Rows of tokens as the tensors that a model is fed. */

import { type Feeds, int64, OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import type { TaskModel } from '@onnx-lora/sdk/tasks';
import { positionOffset } from './maxTokens.ts';
import type { SequencePorts, TokenRow } from './sequenceTask.ts';

/**
 * Feeds of a batch: ids, and where the graph takes them the mask (1 for tokens, 0 for padding), the types and the positions, all
 * whole numbers `[batch, length]`. Positions are numbered as transformers does: from 0, or where the padding has a position of
 * its own (RoBERTa, ESM) from the one after it.
 *
 * @param length tokens of each row, the longest at least
 * @throws OnnxLoraError `INPUT_INVALID` for a number of rows that the graph does not take
 */
export function sequenceFeeds(
  model: TaskModel,
  ports: SequencePorts,
  rows: readonly TokenRow[],
  { length, padId }: { readonly length: number; readonly padId: number },
): Feeds {
  const batch = model.inputs[ports.ids]!.dims?.[0];
  if (rows.length === 0 || (typeof batch === 'number' && batch !== rows.length)) {
    throw new OnnxLoraError(
      'INPUT_INVALID',
      rows.length === 0
        ? 'A batch needs at least one sequence.'
        : `"${model.name}" takes batches of exactly ${batch}, but this one has ${rows.length} sequences. Set the batch size to ${batch}, or export the model with a dynamic batch.`,
    );
  }
  const feeds: Record<string, Tensor> = {};
  const fill = (name: string | undefined, value: (row: TokenRow, i: number) => number, padding: number): void => {
    if (name === undefined) return;
    const numbers = rows.flatMap((row) =>
      Array.from({ length }, (_, i) => (i < row.ids.length ? value(row, i) : padding)),
    );
    const dims = [rows.length, length];
    const isShort = model.inputs[name]!.type === 'int32';
    feeds[name] = isShort ? { type: 'int32', dims, data: Int32Array.from(numbers) } : int64(numbers, dims);
  };
  const offset = positionOffset(model);
  fill(ports.ids, (row, i) => row.ids[i]!, padId);
  fill(ports.mask, () => 1, 0);
  fill(ports.types, (row, i) => row.types[i]!, 0);
  fill(ports.positions, (_, i) => offset + i, offset === 0 ? 0 : offset - 1);
  return feeds;
}
