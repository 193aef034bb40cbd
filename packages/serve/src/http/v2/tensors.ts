/** @file Tensors of the Open Inference Protocol: datatypes, and values in JSON or bytes. */

import { type DataType, type OnnxLoraError, type Tensor, type TensorData, tensor } from '@onnx-lora/sdk';
import { arrayOf } from '@onnx-lora/sdk/tasks';
import { inputInvalid } from '../errors.ts';

/** The protocol's datatypes. */
export type Datatype =
  | 'BOOL'
  | 'UINT8'
  | 'UINT16'
  | 'UINT32'
  | 'UINT64'
  | 'INT8'
  | 'INT16'
  | 'INT32'
  | 'INT64'
  | 'FP16'
  | 'BF16'
  | 'FP32'
  | 'FP64';

export const datatypes: Readonly<Record<Datatype, DataType>> = {
  BOOL: 'bool',
  UINT8: 'uint8',
  UINT16: 'uint16',
  UINT32: 'uint32',
  UINT64: 'uint64',
  INT8: 'int8',
  INT16: 'int16',
  INT32: 'int32',
  INT64: 'int64',
  FP16: 'float16',
  BF16: 'bfloat16',
  FP32: 'float32',
  FP64: 'float64',
};

const names = new Map(Object.entries(datatypes).map(([name, type]) => [type, name as Datatype]));

/** The datatype of a type. */
export function datatypeOf(type: DataType): Datatype {
  return names.get(type)!;
}

export interface TensorHeader {
  readonly name: string;
  readonly shape: readonly number[];
  readonly datatype: Datatype;
}

/**
 * Converts a list of values, flat or nested, to a tensor.
 * @throws OnnxLoraError `INPUT_INVALID` for values of another type, or not as many as the shape says
 */
export function fromValues({ name, shape, datatype }: TensorHeader, data: unknown): Tensor {
  const type = datatypes[datatype];
  if (type === 'float16' || type === 'bfloat16')
    throw wrong(name, `values of ${datatype} have no form in JSON. Send them as binary data, or as FP32`);
  if (!Array.isArray(data)) throw wrong(name, 'it has no data. Send "data", or bytes with "binary_data_size"');
  const values = (Array.isArray(data[0]) ? data.flat(shape.length) : data) as unknown[];
  const found = new (arrayOf(type))(values.length);
  for (let i = 0; i < values.length; i++) {
    const value = valueOf(values[i], found);
    if (value !== undefined) (found as { [index: number]: number | bigint })[i] = value;
    if (value === undefined || !isKept(value, found, i))
      throw wrong(name, `value ${i} is ${shown(values[i])}, and no ${datatype}`);
  }
  return shaped(name, type, found, shape);
}

/** A value in a message, without its nested contents. */
function shown(value: unknown): string {
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'a list' : 'an object';
  return (typeof value === 'bigint' ? String(value) : String(JSON.stringify(value))).slice(0, 40);
}

/** Converts a value for the array; undefined if invalid. */
function valueOf(value: unknown, array: TensorData): number | bigint | undefined {
  if (typeof value === 'boolean') return Number(value);
  const isLong = array instanceof BigInt64Array || array instanceof BigUint64Array;
  if (typeof value === 'bigint') return isLong ? value : undefined;
  if (typeof value !== 'number') return undefined;
  if (!isLong) return value;
  return Number.isSafeInteger(value) ? BigInt(value) : undefined;
}

/** Whether the array has stored the value exactly. */
function isKept(value: number | bigint, array: TensorData, i: number): boolean {
  return array instanceof Float32Array || array instanceof Float64Array || array[i] === value;
}

/** Copies little-endian bytes to a tensor. @throws OnnxLoraError `INPUT_INVALID` for a size unlike the shape's */
export function fromBytes({ name, shape, datatype }: TensorHeader, bytes: Uint8Array): Tensor {
  const type = datatypes[datatype];
  const array = arrayOf(type);
  if (bytes.byteLength % array.BYTES_PER_ELEMENT !== 0)
    throw wrong(name, `${bytes.byteLength} bytes are no whole number of ${datatype}`);
  const own = Uint8Array.from(bytes);
  if (type === 'bool' && own.some((value) => value > 1)) throw wrong(name, 'bytes of BOOL are 0 or 1');
  return shaped(name, type, new array(own.buffer), shape);
}

function shaped(name: string, type: DataType, data: TensorData, shape: readonly number[]): Tensor {
  const size = shape.reduce((product, dim) => product * dim, 1);
  if (data.length !== size)
    throw wrong(name, `its shape [${shape.join(', ')}] says ${size} values, and ${data.length} were sent`);
  return tensor(type, data, shape);
}

/** Converts a tensor to JSON values. @throws OnnxLoraError `INPUT_INVALID` for values that JSON cannot represent */
export function toJson(name: string, { type, data }: Tensor): (number | boolean | null)[] {
  if (type === 'float16' || type === 'bfloat16')
    throw wrong(name, `values of ${datatypeOf(type)} have no form in JSON. Ask for binary data ("binary_data": true)`);
  if (type === 'bool') return Array.from(data as Uint8Array, Boolean);
  return Array.from(data as ArrayLike<number | bigint>, (value) => {
    const number = Number(value);
    if (typeof value === 'bigint' && !Number.isSafeInteger(number))
      throw wrong(name, `${value} is no number of JSON. Ask for binary data ("binary_data": true)`);
    return Number.isFinite(number) ? number : null;
  });
}

/** The bytes of a tensor. */
export function toBytes({ data }: Tensor): Buffer {
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength);
}

function wrong(name: string, what: string): OnnxLoraError {
  return inputInvalid(`The tensor "${name}": ${what}.`);
}
