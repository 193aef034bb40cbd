/** @file Splits a batch into parts of similar length, which saves padding. */

import type { Feeds, Tensor, TensorData } from '@onnx-lora/sdk';
import { type BatchPart, bucketLength } from '@onnx-lora/sdk/tasks';
import { UNIT } from '../sequenceInput.ts';
import type { SequencePorts } from '../sequenceTask.ts';

/** Splits a batch into parts of `rows` rows of similar length; undefined without a mask or with a fixed length. */
export function lengthParts(
  { mask, length: fixed }: SequencePorts,
  inputs: Feeds,
  targets: Feeds,
  rows: number,
): readonly BatchPart[] | undefined {
  const given = mask === undefined ? undefined : inputs[mask];
  if (!given || fixed !== undefined) return undefined;
  const [total, longest] = given.dims as readonly [number, number];
  const lengths = Array.from({ length: total }, (_, row) => lengthOf(given.data, row * longest, longest));
  const order = lengths.map((_, row) => row).sort((a, b) => lengths[b]! - lengths[a]!);
  const parts = Array.from({ length: total / rows }, (_, i) => order.slice(i * rows, (i + 1) * rows));
  const padded = parts.map(([first]) => Math.min(longest, bucketLength(Math.max(1, lengths[first!]!), UNIT)));
  return parts.map((places, i) => ({
    places,
    inputs: rowsOfFeeds(inputs, places, padded[i]!),
    targets: rowsOfFeeds(targets, places),
  }));
}

function lengthOf(data: TensorData, from: number, longest: number): number {
  let length = longest;
  while (length > 0 && Number(data[from + length - 1]) === 0) length--;
  return length;
}

/** Selects rows of feeds `[rows, …]`, cropped to the first `length` columns. */
export function rowsOfFeeds(feeds: Feeds, places: readonly number[], length?: number): Feeds {
  return Object.fromEntries(Object.entries(feeds).map(([name, tensor]) => [name, takenOf(tensor, places, length)]));
}

function takenOf({ type, dims, data }: Tensor, places: readonly number[], length?: number): Tensor {
  const stride = data.length / dims[0]!;
  const kept = length ?? stride;
  const Numbers = data.constructor as new (length: number) => TensorData;
  const rows = new Numbers(places.length * kept);
  for (const [i, place] of places.entries())
    rows.set(data.subarray(place * stride, place * stride + kept) as never, i * kept);
  return { type, dims: [places.length, ...(length === undefined ? dims.slice(1) : [length])], data: rows } as Tensor;
}
