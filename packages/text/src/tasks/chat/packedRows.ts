/** @file Several conversations in one row, so that little of a batch is padding. */

import { type Feeds, int64, type Tensor } from '@onnx-lora/sdk';
import type { Dataset } from '@onnx-lora/sdk/tasks';
import type { SequencePorts } from '@onnx-lora/sequences';
import type { TaughtDataset, TaughtExample, TaughtRow } from './taughtRows.ts';

/**
 * Which of these lengths share a row of at most `most`: best fit, the longest first, as TRL's strategy `bfd` does. Each goes into the
 * row with the least room in which it fits, or into a new one; of equal ones the first comes first.
 *
 * @returns the places of the lengths in each row
 */
export function packedRows(lengths: readonly number[], most: number): readonly (readonly number[])[] {
  const rows: number[][] = [];
  // Rows by how much room they have.
  const withRoom = Array.from({ length: most + 1 }, (): number[][] => []);
  const longestFirst = [...lengths.keys()].sort((a, b) => lengths[b]! - lengths[a]! || a - b);
  for (const place of longestFirst) {
    let room = lengths[place]!;
    while (room < most && withRoom[room]!.length === 0) room++;
    const row = withRoom[room]!.pop() ?? [];
    if (row.length === 0) rows.push(row);
    row.push(place);
    withRoom[room - lengths[place]!]!.push(row);
  }
  return rows;
}

/** Rows of rows: each is packed once, and means the same whenever it is drawn. */
export class PackedDataset implements Dataset<TaughtExample> {
  readonly isDeterministic = true;
  readonly lengths: readonly number[];
  readonly #single: TaughtDataset;
  readonly #rows: readonly (readonly number[])[];

  /** Packs rows into rows of at most `most` tokens. */
  constructor(single: TaughtDataset, most: number) {
    this.#single = single;
    this.#rows = packedRows(single.lengths, most);
    this.lengths = this.#rows.map((row) => row.reduce((sum, index) => sum + single.lengths[index]!, 0));
  }

  get length(): number {
    return this.#rows.length;
  }

  nameOf(index: number): string {
    return this.#at(index)
      .map((each) => this.#single.nameOf(each))
      .join(', ');
  }

  keyOf(index: number): Promise<readonly string[]> {
    return Promise.all(this.#at(index).map((each) => this.#single.keyOf(each)));
  }

  async get(index: number, draw?: number): Promise<TaughtExample> {
    const examples = await Promise.all(this.#at(index).map((each) => this.#single.get(each, draw)));
    return { ...examples[0]!, row: joined(examples.map(({ row }) => row)) };
  }

  #at(index: number): readonly number[] {
    const row = this.#rows[index];
    if (row) return row;
    throw new RangeError(`There is no example ${index}: the dataset has ${this.length}.`);
  }
}

/** The last token of a row learns nothing, and so neither does that of a conversation learn the next one's first. */
function joined(rows: readonly TaughtRow[]): TaughtRow {
  const [first] = rows as [TaughtRow];
  const ids = rows.flatMap((row) => row.ids);
  return {
    ...first,
    ids,
    types: rows.flatMap(({ types }) => types),
    labels: rows.flatMap(({ labels }) => labels),
    segments: rows.flatMap(({ segments }) => segments),
    bytes: rows.reduce((sum, { bytes }) => sum + bytes, 0),
    count: ids.length,
  };
}

/** What a batch of such rows is fed: positions that begin anew, and beside it the number of each token's conversation. */
export function apartFed(
  rows: readonly TaughtRow[],
  inputs: Feeds,
  { ids, positions }: SequencePorts,
): { readonly inputs: Feeds; readonly segments: Tensor } {
  const dims = inputs[ids]!.dims;
  const length = dims[1]!;
  // Padding counts as the last conversation's: it reads something, and is read by nothing.
  const begins = rows.map(({ segments }) => segments.map((_, i) => segments.slice(0, i).reduce((sum, each) => sum + each, 0))); // prettier-ignore
  const numbers = begins.flatMap((own) => Array.from({ length }, (_, at) => own.findLastIndex((begin) => begin <= at)));
  const segments = int64(numbers, dims);
  const counted = positions === undefined ? undefined : inputs[positions];
  if (positions === undefined || !counted) return { inputs, segments };
  const moved = numbers.map((segment, at) => Number(counted.data[at - begins[Math.floor(at / length)]![segment]!]));
  const placed: Tensor = counted.type === 'int32' ? { type: 'int32', dims, data: Int32Array.from(moved) } : int64(moved, dims); // prettier-ignore
  return { inputs: { ...inputs, [positions]: placed }, segments };
}
