/** @file Rows of token ids as feeds. */

import { type Feeds, OnnxLoraError, tensor, type Tensor } from '@onnx-lora/sdk';
import type { ImageTextPorts } from './imageTextPorts.ts';
import { rowLength, type TextTokenizer } from './textTokenizer.ts';

/**
 * Feeds of texts, filled up on the right.
 *
 * @param least rows are at least so long, so that all batches of a run have one shape
 * @throws OnnxLoraError `INPUT_INVALID` for a text of more tokens than the graph takes
 */
export function textFeeds(
  texts: readonly (readonly number[])[],
  tokenizer: TextTokenizer,
  { ids, mask }: ImageTextPorts,
  least = 1,
): Feeds {
  const needed = Math.max(least, rowLength(tokenizer, texts));
  const length = ids.length ?? needed;
  if (needed > length && texts.some((row) => row.length > length)) {
    throw new OnnxLoraError(
      'INPUT_INVALID',
      `A text has ${needed} tokens, but the graph takes rows of exactly ${length}. Shorten the text, or export the model with a dynamic length.`,
    );
  }
  const rows = (value: (row: readonly number[], at: number) => number, type: 'int64' | 'int32'): Tensor => {
    const values = texts.flatMap((row) => Array.from({ length }, (_, at) => value(row, at)));
    const data = type === 'int64' ? BigInt64Array.from(values, BigInt) : Int32Array.from(values);
    return tensor(type, data, [texts.length, length]);
  };
  return {
    [ids.name]: rows((row, at) => row[at] ?? tokenizer.pad, ids.type),
    ...(mask && { [mask.name]: rows((row, at) => (at < row.length ? 1 : 0), mask.type) }),
  };
}
