/** @file Conversion between ONNX's element type numbers and the SDK's names. */

import type { DataType } from '../runtime/tensor.ts';

const names: Readonly<Record<number, DataType>> = {
  1: 'float32',
  2: 'uint8',
  3: 'int8',
  4: 'uint16',
  5: 'int16',
  6: 'int32',
  7: 'int64',
  9: 'bool',
  10: 'float16',
  11: 'float64',
  12: 'uint32',
  13: 'uint64',
  16: 'bfloat16',
};
const numbers = new Map<DataType, number>(Object.entries(names).map(([number, name]) => [name, Number(number)]));

/** Bits per element by ONNX's number, including types without a JavaScript array (float8, int4 …). */
const bits: Readonly<Record<number, number>> = {
  1: 32, 2: 8, 3: 8, 4: 16, 5: 16, 6: 32, 7: 64, 9: 8, 10: 16, 11: 64, 12: 32, 13: 64, 14: 64, 15: 128, 16: 16,
  17: 8, 18: 8, 19: 8, 20: 8, 21: 4, 22: 4, 23: 4, 24: 8, 25: 2, 26: 2,
}; // prettier-ignore

/** The SDK's name of an ONNX element type; undefined for strings, float8, int4 and the like. */
export function dataTypeName(number: number | undefined): DataType | undefined {
  return number === undefined ? undefined : names[number];
}

/** ONNX's number of an element type. */
export function dataTypeNumber(type: DataType): number {
  return numbers.get(type)!;
}

/** Bytes of `count` elements of ONNX type `number`; undefined for types without a fixed size. */
export function byteCount(number: number, count: number): number | undefined {
  const size = bits[number];
  return size === undefined ? undefined : Math.ceil((count * size) / 8);
}
