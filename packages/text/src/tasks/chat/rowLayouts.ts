/** @file Layouts of training rows: packed conversations, and attention groups. */

import { type Feeds, int64, OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import type { Dataset } from '@onnx-lora/sdk/tasks';
import type { SequenceInput, SequencePorts } from '@onnx-lora/sequences';
import type { SftDataset, SftExample, SftRow, SftRules } from './sftRows.ts';

/**
 * Packs lengths into rows of at most `most` by best-fit decreasing, TRL's strategy `bfd`. Each joins the row with the
 * least sufficient room, or a new one; equal lengths keep their order.
 * @returns the indices of the lengths in each row
 */
export function packedRows(lengths: readonly number[], most: number): readonly (readonly number[])[] {
  const rows: number[][] = [];
  // Rows by remaining room.
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

/** Packed rows, the same in every epoch. */
export class PackedDataset implements Dataset<SftExample> {
  readonly isDeterministic = true;
  readonly lengths: readonly number[];
  readonly #single: SftDataset;
  readonly #rows: readonly (readonly number[])[];

  /** @param most maximum tokens of a packed row */
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

/** Concatenates rows. A row's last token has no label, so no conversation learns the next one's first token. */
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

/** Feeds of packed rows: positions that restart with each conversation, and each token's segment. */
export function packedFeeds(
  rows: readonly SftRow[],
  inputs: Feeds,
  { ids, positions }: SequencePorts,
): { readonly inputs: Feeds; readonly segments: Tensor } {
  const dims = inputs[ids]!.dims;
  const length = dims[1]!;
  // Padding joins the last segment: its softmax needs tokens to attend to, and no other token attends to it.
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
 * Limits rows to whole groups.
 * @throws OnnxLoraError `CONFIG_INVALID` for groups that do not fit, and for packed rows
 */
export function groupedRules(rules: SftRules, group: number, packing: boolean): SftRules {
  const count = Math.floor(rules.most / group);
  if (!packing && group % 2 === 0 && count >= 2) return { ...rules, most: count * group };
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    packing
      ? 'Packed rows are not trained in groups, which would cut conversations anywhere. Leave out packing or attentionGroups.'
      : `attentionGroups must be an even number of tokens, at most half of maxLength, ${rules.most}, but it is ${group}. Take a quarter of it.`,
  );
}

/**
 * Training feeds, in groups if requested. Padding comes last, where no token attends to it; it stays unmasked, since a
 * group of padding alone would have no scores.
 */
export function groupedFeeds(input: SequenceInput, rows: readonly SftRow[], most: number, group?: number): Feeds {
  const fed = input.feeds(rows, most, group);
  const { mask } = input.ports;
  const own = mask === undefined ? undefined : fed[mask];
  if (group === undefined || mask === undefined || !own) return fed;
  const ones = new Int32Array(own.data.length).fill(1);
  return { ...fed, [mask]: own.type === 'int32' ? { type: 'int32', dims: own.dims, data: ones } : int64(Array.from(ones), own.dims) }; // prettier-ignore
}
