/** @file The past: cached keys and values of a decoder. */

import { type Feeds, type Tensor, tensor, type TensorData } from '@onnx-lora/sdk';
import { type GraphPort, type RunnableModel, arrayOf } from '@onnx-lora/sdk/tasks';
import type { Past } from './decoding.ts';

const PAST = 'past_key_values.';

/** Whether a decoder reads a key/value cache. */
export function takesPast({ inputs }: Pick<RunnableModel, 'inputs'>): boolean {
  return Object.keys(inputs).some(isPast);
}

/** Whether an input holds keys or values. */
export function isPast(name: string): boolean {
  return name.startsWith(PAST);
}

/** Feeds of the first pass: an empty tensor for each key and value input. */
export function emptyPast({ inputs }: RunnableModel, rows: number): Feeds {
  return Object.fromEntries(
    Object.entries(inputs).flatMap(([name, { type, dims }]) => {
      if (!isPast(name)) return [];
      // The batch is given; heads and their size are static.
      const shape = (dims ?? []).map((dim, axis) => (axis === 0 ? rows : typeof dim === 'number' ? dim : 0));
      return [[name, tensor(type, new (arrayOf(type))(0), shape)] as const];
    }),
  );
}

/** Output that becomes the given input of the next pass. */
export function outputFor(input: string): string {
  return input.replace(/^past_key_values/, 'present');
}

/** A pass's outputs as the next pass's key and value inputs, by name. */
export function pastIn(outputs: Readonly<Record<string, Tensor>>, { inputs }: RunnableModel): Feeds {
  const names = Object.keys(inputs).filter((name) => isPast(name) && outputFor(name) in outputs);
  return Object.fromEntries(names.map((name) => [name, outputs[outputFor(name)]!]));
}

/** The past of the first `length` tokens, along the symbolic dimension; empty without such a dimension. */
export function pastUpTo({ inputs }: RunnableModel, past: Past, length: number): Past {
  if (length >= past.length) return past;
  const isKnown = Object.entries(past.tensors).every(([name, { dims }]) => dims[axisOf(inputs[name])] === past.length);
  if (!isKnown) return { length: 0, tensors: {} };
  const tensors = Object.entries(past.tensors).map(([name, each]) => [name, cut(each, axisOf(inputs[name]), length)] as const); // prettier-ignore
  return { length, tensors: Object.fromEntries(tensors) };
}

function axisOf(port: GraphPort | undefined): number {
  return port?.dims?.findIndex((dim, axis) => axis > 0 && typeof dim === 'string') ?? -1;
}

function cut({ type, dims, data }: Tensor, axis: number, length: number): Tensor {
  const product = (of: readonly number[]): number => of.reduce((all, dim) => all * dim, 1);
  const [outer, inner, whole] = [product(dims.slice(0, axis)), product(dims.slice(axis + 1)), dims[axis]!];
  const from = data as Float32Array;
  const kept = new (from.constructor as Float32ArrayConstructor)(outer * length * inner);
  for (let i = 0; i < outer; i++)
    kept.set(from.subarray(i * whole * inner, (i * whole + length) * inner), i * length * inner);
  return { type, dims: dims.map((dim, i) => (i === axis ? length : dim)), data: kept as TensorData };
}
