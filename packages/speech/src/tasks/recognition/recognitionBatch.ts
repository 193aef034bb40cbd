/** @file Labels of several clips as one batch: what the decoder is fed, and what it shall answer. */

import { int64, type Tensor } from '@onnx-lora/sdk';

/** Labels with this value do not count. */
export const IGNORED = -100;

/**
 * The decoder's tokens and the labels, int64 `[batch, length]`: each row is fed what begins a transcript and its labels
 * without the last, so that every position is asked for the next. Shorter rows are fed `pad` at their end, and what is asked
 * for there does not count.
 *
 * @param start the token that begins a transcript
 * @param length labels of each row
 */
export function labelBatch(
  rows: readonly (readonly number[])[],
  { start, pad, length }: { readonly start: number; readonly pad: number; readonly length: number },
): { readonly tokens: Tensor; readonly labels: Tensor } {
  const tokens = rows.flatMap((row) => Array.from({ length }, (_, i) => (i === 0 ? start : (row[i - 1] ?? pad))));
  const labels = rows.flatMap((row) => Array.from({ length }, (_, i) => row[i] ?? IGNORED));
  const dims = [rows.length, length];
  return { tokens: int64(tokens, dims), labels: int64(labels, dims) };
}

/** How many labels count. */
export function countLabels({ data }: Tensor): number {
  let count = 0;
  for (const label of data as BigInt64Array) if (Number(label) !== IGNORED) count++;
  return count;
}

/** Rows of up to so many labels are all padded alike. */
const SHORT = 64;

/**
 * How many labels the rows of a batch are padded to: as many as the longest of all data has, or half or a quarter of that …
 * where these are long. A graph for training is built for the shapes of a batch, and built again for others, which takes longer
 * than a few labels that do not count.
 */
export function labelLength(longestOfBatch: number, longestOfAll: number): number {
  let length = longestOfAll;
  while (length > SHORT && longestOfBatch <= Math.ceil(length / 2)) length = Math.ceil(length / 2);
  return Math.max(length, longestOfBatch);
}
