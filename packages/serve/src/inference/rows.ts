/** @file Requests as rows of one batch: feeds put together, shorter ones padded, and outputs taken apart. */

import type { Feeds, Tensor } from '@onnx-lora/sdk';
import { arrayOf } from '@onnx-lora/sdk/core';

type Outputs = Readonly<Record<string, Tensor>>;

/** What a request is of a batch. */
export interface Portion {
  readonly rows: number;
  /** Positions of each of its rows, where the batch is padded. */
  readonly length?: number;
}

/**
 * Feeds of several requests, one behind the other: all have the same inputs, of the same shapes but for the rows.
 *
 * @param length positions that rows `[rows, positions]` are padded to by zeros, where requests differ in them
 */
export function joinRows(feeds: readonly Feeds[], length?: number): Feeds {
  const [first] = feeds as readonly [Feeds];
  return Object.fromEntries(Object.keys(first).map((name) => [name, joined(feeds.map((each) => each[name]!), length)])); // prettier-ignore
}

function joined(tensors: readonly Tensor[], length?: number): Tensor {
  const [{ type, dims }] = tensors as readonly [Tensor];
  const rows = tensors.reduce((sum, each) => sum + each.dims[0]!, 0);
  const shape = [rows, ...(length === undefined ? dims.slice(1) : [length])];
  const data = new (arrayOf(type))(shape.reduce((product, dim) => product * dim, 1)) as Uint8Array;
  let row = 0;
  for (const each of tensors) {
    const values = each.data as Uint8Array;
    const width = values.length / each.dims[0]!;
    if (length === undefined || width === length) data.set(values, row * width);
    else
      for (let i = 0; i < each.dims[0]!; i++) data.set(values.subarray(i * width, (i + 1) * width), (row + i) * length);
    row += each.dims[0]!;
  }
  return { type, dims: shape, data };
}

/**
 * The outputs of each request.
 *
 * @param perPosition names of the outputs `[rows, positions, …]` of which padding is taken off
 * @returns undefined where an output has no part for each row
 */
export function splitRows(
  outputs: Outputs,
  portions: readonly Portion[],
  perPosition: ReadonlySet<string>,
): Outputs[] | undefined {
  const total = portions.reduce((sum, { rows }) => sum + rows, 0);
  if (Object.values(outputs).some(({ dims }) => dims[0] !== total)) return undefined;
  let start = 0;
  return portions.map(({ rows, length }) => {
    const own = Object.entries(outputs).map(([name, tensor]) => {
      const part = taken(tensor, start, rows);
      return [name, length !== undefined && perPosition.has(name) ? shortened(part, length) : part] as const;
    });
    start += rows;
    return Object.fromEntries(own);
  });
}

function taken({ type, dims: [rows = 1, ...dims], data }: Tensor, start: number, count: number): Tensor {
  const each = data.length / rows;
  return { type, dims: [count, ...dims], data: data.slice(start * each, (start + count) * each) };
}

/** The first positions of each row. */
function shortened(tensor: Tensor, length: number): Tensor {
  const [rows, positions, ...rest] = tensor.dims as [number, number, ...number[]];
  if (positions === length) return tensor;
  const width = rest.reduce((product, dim) => product * dim, 1);
  const data = new (arrayOf(tensor.type))(rows * length * width) as Uint8Array;
  const values = tensor.data as Uint8Array;
  for (let row = 0; row < rows; row++)
    data.set(values.subarray(row * positions * width, (row * positions + length) * width), row * length * width);
  return { type: tensor.type, dims: [rows, length, ...rest], data };
}
