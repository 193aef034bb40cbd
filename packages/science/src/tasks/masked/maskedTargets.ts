/** @file What the loss and the metrics of masked tokens compare a batch with. */

import { type Feeds, int64 } from '@onnx-lora/sdk';
import { type MaskedRow, NOT_ASKED } from './masking.ts';

/**
 * Targets of a batch: `labels` int64 `[batch, tokens]`, the true ids of tokens to be guessed and −100 elsewhere; `records` int64
 * `[batch]`, the number of each row's record.
 *
 * @param length tokens of each row of the batch, padding included
 */
export function maskedTargets(rows: readonly MaskedRow[], records: readonly number[], length: number): Feeds {
  const labels = rows.flatMap((row) => Array.from({ length }, (_, at) => row.labels[at] ?? NOT_ASKED));
  return { labels: int64(labels, [rows.length, length]), records: int64([...records], [rows.length]) };
}

/** A token to be guessed. */
export interface Asked {
  /** Its place in the batch. */
  readonly row: number;
  readonly at: number;
  /** Number of its record. */
  readonly record: number;
  /** The true id. */
  readonly token: number;
}

/** The tokens of a batch that are to be guessed. */
export function* eachAsked({ labels, records }: Feeds): Generator<Asked> {
  const [rows, length] = labels!.dims as readonly [number, number];
  for (let row = 0; row < rows; row++) {
    const record = Number(records!.data[row]);
    for (let at = 0; at < length; at++) {
      const token = Number(labels!.data[row * length + at]);
      if (token !== NOT_ASKED) yield { row, at, record, token };
    }
  }
}

/** How many tokens of a batch are to be guessed. */
export function askedTokens({ labels }: Feeds): number {
  let count = 0;
  for (const label of labels!.data) if (Number(label) !== NOT_ASKED) count++;
  return count;
}
