/** @file Where the residues of a batch are, for its metrics. */

import { type Feeds, int64 } from '@onnx-lora/sdk';
import type { SequenceExample } from '../sequenceTask.ts';

/** What is known of the tokens of each record; NaN where nothing is. */
export type ResidueExample = SequenceExample<readonly number[]>;

/** A row of a batch. */
export interface RowPlace {
  /** Number of its record, and of how many windows of that it is one. */
  readonly record: number;
  readonly windows: number;
  /** Place of its first residue in the row, and in the sequence. */
  readonly at: number;
  readonly from: number;
}

const PLACES = 'places';
const FIELDS = 4;

/** What is known of each token of a batch, row by row: NaN for special ones and padding. */
export function knownTokens(examples: readonly ResidueExample[], length: number): number[] {
  return examples.flatMap(({ row: { at, count, from }, target }) =>
    Array.from({ length }, (_, i) => (i >= at && i < at + count ? target[from + i - at]! : Number.NaN)),
  );
}

/** Target by which windows are put together: int64 `[batch, 4]`, of batches that are measured. */
export function placeTargets(examples: readonly ResidueExample[]): Feeds {
  if (examples[0]?.draw !== undefined) return {};
  const fields = examples.flatMap(({ index, windows, row: { at, from } }) => [index, windows, at, from]);
  return { [PLACES]: int64(fields, [examples.length, FIELDS]) };
}

/** Where the rows of a batch are from. */
export function placesOf(targets: Feeds): RowPlace[] {
  const places = targets[PLACES]!;
  return Array.from({ length: places.dims[0]! }, (_, row) => {
    const [record, windows, at, from] = Array.from(places.data.subarray(row * FIELDS, (row + 1) * FIELDS), Number);
    return { record: record!, windows: windows!, at: at!, from: from! };
  });
}
