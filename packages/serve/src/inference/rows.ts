/** @file Joins requests to a batch, and splits its outputs. */

import type { Feeds, Tensor } from '@onnx-lora/sdk';
import { arrayOf } from '@onnx-lora/sdk/tasks';

type Outputs = Readonly<Record<string, Tensor>>;

/** Concatenates feeds with equal names and shapes apart from the rows. */
export function joinRows(feeds: readonly Feeds[]): Feeds {
  const [first] = feeds as readonly [Feeds];
  if (feeds.length === 1) return first;
  return Object.fromEntries(Object.keys(first).map((name) => [name, joined(feeds.map((each) => each[name]!))]));
}

function joined(tensors: readonly Tensor[]): Tensor {
  const [{ type, dims }] = tensors as readonly [Tensor];
  const data = new (arrayOf(type))(tensors.reduce((sum, each) => sum + each.data.length, 0));
  let at = 0;
  for (const each of tensors) {
    (data as Uint8Array).set(each.data as Uint8Array, at);
    at += each.data.length;
  }
  return { type, dims: [tensors.reduce((sum, each) => sum + each.dims[0]!, 0), ...dims.slice(1)], data };
}

/**
 * Splits outputs by the rows of each request; undefined where an output lacks rows.
 * @returns undefined where an output lacks rows
 */
export function splitRows(outputs: Outputs, rows: readonly number[]): Outputs[] | undefined {
  const total = rows.reduce((sum, each) => sum + each, 0);
  if (Object.values(outputs).some(({ dims }) => dims[0] !== total)) return undefined;
  let start = 0;
  return rows.map((count) => {
    const own = Object.entries(outputs).map(([name, tensor]) => [name, taken(tensor, start, count)] as const);
    start += count;
    return Object.fromEntries(own);
  });
}

function taken({ type, dims: [rows = 1, ...dims], data }: Tensor, start: number, count: number): Tensor {
  const each = data.length / rows;
  return { type, dims: [count, ...dims], data: data.slice(start * each, (start + count) * each) };
}
