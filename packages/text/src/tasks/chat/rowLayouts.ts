/** @file Layouts of training rows: several conversations packed into one, and groups of attention. */

import { type Feeds, int64, OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import type { Dataset } from '@onnx-lora/sdk/tasks';
import type { SequenceInput, SequencePorts } from '@onnx-lora/sequences';
import type { SftDataset, SftExample, SftRow, SftRules } from './sftRows.ts';

/**
 * Which of these lengths share a row of at most `most`: best fit, the longest first, as TRL's strategy `bfd` does. Each goes into the
 * row with the least room in which it fits, or into a new one; of equal ones the first comes first.
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
export class PackedDataset implements Dataset<SftExample> {
  readonly isDeterministic = true;
  readonly lengths: readonly number[];
  readonly #single: SftDataset;
  readonly #rows: readonly (readonly number[])[];

  /** Packs rows into rows of at most `most` tokens. */
  constructor(single: SftDataset, most: number) {
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

  async get(index: number, draw?: number): Promise<SftExample> {
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
function joined(rows: readonly SftRow[]): SftRow {
  const [first] = rows as [SftRow];
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
  rows: readonly SftRow[],
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

/**
 * Rules for rows that have whole groups where they have several.
 * @throws OnnxLoraError `CONFIG_INVALID` for groups that do not fit, and for packed rows
 */
export function groupedRules(rules: SftRules, group: number, packing: boolean): SftRules {
  const count = Math.floor(rules.most / group);
  if (!packing && group % 2 === 0 && count >= 2) return { ...rules, most: count * group };
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    packing
      ? 'Packed rows are not trained in groups, which would cut conversations anywhere. Leave out packing or attentionGroups.'
      : `attentionGroups must be an even number of tokens of which several fit into maxLength, ${rules.most}, but it is ${group}. Take a quarter of it.`,
  );
}

/**
 * Feeds of rows that are trained on, in groups where there are such. Padding stands behind, where no token reads it; it must not be
 * hidden from itself, or there would be groups in which there is nothing to read.
 */
export function groupedFeeds(input: SequenceInput, rows: readonly SftRow[], most: number, group?: number): Feeds {
  const fed = input.feeds(rows, most, group);
  const { mask } = input.ports;
  const own = mask === undefined ? undefined : fed[mask];
  if (group === undefined || mask === undefined || !own) return fed;
  const ones = new Int32Array(own.data.length).fill(1);
  return { ...fed, [mask]: own.type === 'int32' ? { type: 'int32', dims: own.dims, data: ones } : int64(Array.from(ones), own.dims) }; // prettier-ignore
}
