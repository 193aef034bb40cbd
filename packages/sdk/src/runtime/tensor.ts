/** @file Tensors of the public API: a type, dimensions and a flat, row-major typed array. */

import { OnnxLoraError } from '../errors.ts';

/** Element types, spelled as in ONNX Runtime's JavaScript API. */
export type DataType =
  | 'float32'
  | 'float64'
  | 'float16'
  | 'bfloat16'
  | 'int64'
  | 'int32'
  | 'int16'
  | 'int8'
  | 'uint64'
  | 'uint32'
  | 'uint16'
  | 'uint8'
  | 'bool';

/** Storage of a tensor: `float16` and `bfloat16` as bits in a `Uint16Array`, `bool` as 0 and 1. */
export type TensorData =
  | Float32Array
  | Float64Array
  | BigInt64Array
  | BigUint64Array
  | Int32Array
  | Int16Array
  | Int8Array
  | Uint32Array
  | Uint16Array
  | Uint8Array;

/** A dense row-major tensor. `dims` is empty for a scalar. */
export interface Tensor {
  /** The element type. */
  readonly type: DataType;
  /** One size per dimension. */
  readonly dims: readonly number[];
  /** The elements, as many as the product of `dims`. */
  readonly data: TensorData;
}

/** Tensors by graph input name. */
export type Feeds = Readonly<Record<string, Tensor>>;

const arrays: Readonly<Record<DataType, TensorDataConstructor>> = {
  float32: Float32Array,
  float64: Float64Array,
  float16: Uint16Array,
  bfloat16: Uint16Array,
  int64: BigInt64Array,
  int32: Int32Array,
  int16: Int16Array,
  int8: Int8Array,
  uint64: BigUint64Array,
  uint32: Uint32Array,
  uint16: Uint16Array,
  uint8: Uint8Array,
  bool: Uint8Array,
};

/** The constructor of a typed array. */
export type TensorDataConstructor =
  | Float32ArrayConstructor
  | Float64ArrayConstructor
  | BigInt64ArrayConstructor
  | BigUint64ArrayConstructor
  | Int32ArrayConstructor
  | Int16ArrayConstructor
  | Int8ArrayConstructor
  | Uint32ArrayConstructor
  | Uint16ArrayConstructor
  | Uint8ArrayConstructor;

/** The typed-array constructor that stores elements of `type`. */
export function arrayOf(type: DataType): TensorDataConstructor {
  return arrays[type];
}

/** Bytes per element of `type`. */
export function bytesPerElement(type: DataType): number {
  return arrays[type].BYTES_PER_ELEMENT;
}

/** Number of elements of these dimensions; 1 for a scalar. */
export function sizeOf(dims: readonly number[]): number {
  return dims.reduce((product, dim) => product * dim, 1);
}

/** Makes a float32 tensor. @throws OnnxLoraError `INPUT_INVALID` when the length of `data` does not fit `dims` */
export function float32(data: Float32Array | readonly number[], dims: readonly number[]): Tensor {
  return tensor('float32', data instanceof Float32Array ? data : Float32Array.from(data), dims);
}

/**
 * Makes an int64 tensor from numbers, such as labels `[batch]` or token ids `[batch, seq]`.
 * @throws OnnxLoraError `INPUT_INVALID` when `data` does not hold as many values as `dims` says
 */
export function int64(data: readonly number[], dims: readonly number[]): Tensor {
  return tensor('int64', BigInt64Array.from(data, BigInt), dims);
}

/** Wraps storage as a tensor, without a copy. @throws OnnxLoraError `INPUT_INVALID` when its length does not fit */
export function tensor(type: DataType, data: TensorData, dims: readonly number[]): Tensor {
  if (data.length !== sizeOf(dims)) {
    throw new OnnxLoraError(
      'INPUT_INVALID',
      `A ${type} tensor of shape [${dims.join(', ')}] needs ${sizeOf(dims)} values, but ${data.length} were given.`,
    );
  }
  return { type, dims, data };
}

/**
 * Stacks tensors of equal shape along a new first dimension: n of `[c, h, w]` become `[n, c, h, w]`.
 * @throws OnnxLoraError `INPUT_INVALID` for an empty list, or when types or shapes differ
 */
export function stack(tensors: readonly Tensor[]): Tensor {
  const [first] = tensors;
  if (!first) throw new OnnxLoraError('INPUT_INVALID', 'There is nothing to stack: the list of tensors is empty.');
  const size = first.data.length;
  const data = new (arrayOf(first.type))(size * tensors.length);
  tensors.forEach((each, i) => {
    if (each.type !== first.type || each.dims.join() !== first.dims.join()) {
      throw new OnnxLoraError(
        'INPUT_INVALID',
        `Tensors of one batch must agree, but number ${i} is ${each.type} [${each.dims.join(', ')}] and the first is ${first.type} [${first.dims.join(', ')}].`,
      );
    }
    // The union of typed arrays cannot express that both sides have the same constructor.
    (data as Float32Array).set(each.data as Float32Array, i * size);
  });
  return { type: first.type, dims: [tensors.length, ...first.dims], data };
}
