/** @file Contents of `TensorProto`s: locating, reading and creating them. */

import { OnnxLoraError } from '../errors.ts';
import { arrayOf, bytesPerElement, float32, sizeOf, type Tensor, type TensorData } from '../runtime/tensor.ts';
import { type Bytes, readBytes } from './bytes.ts';
import { byteCount, dataTypeName, dataTypeNumber } from './dataType.ts';
import { fromBfloat16s, fromHalves, toBfloat16, toHalf } from '../runtime/halfFloat.ts';
import type { TensorProto } from './proto.ts';
import type { ValueType } from './value.ts';

/** Raw little-endian bytes, still in the file if possible; undefined for varints, which {@link readTensor} reads. */
export function rawBytes(tensor: TensorProto): Bytes | undefined {
  // Packed floats and doubles have the layout of raw_data.
  return tensor.rawData ?? tensor.floatData ?? tensor.doubleData;
}

/**
 * Reads a tensor's values into memory.
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` for element types without a JavaScript array (strings, float8, int4)
 * @throws OnnxLoraError `MODEL_INVALID` when the bytes do not fill the shape
 */
export function readTensor(proto: TensorProto): Tensor {
  const type = dataTypeName(proto.dataType);
  const dims = proto.dims ?? [];
  if (!type) {
    throw new OnnxLoraError(
      'MODEL_UNSUPPORTED',
      `Tensor "${proto.name}" has element type ${proto.dataType}, which cannot be read.`,
    );
  }
  const count = sizeOf(dims);
  const raw = rawBytes(proto);
  const data = raw ? fromRaw(type, readBytes(raw)) : fromVarints(type, proto, count);
  if (data.length !== count) {
    throw new OnnxLoraError(
      'MODEL_INVALID',
      `Tensor "${proto.name}" of shape [${dims.join(', ')}] needs ${count} values, but the file holds ${data.length}.`,
    );
  }
  return { type, dims, data };
}

/** Reads a tensor of any float type as float32. @throws OnnxLoraError as {@link readTensor} */
export function readFloats(proto: TensorProto): Float32Array {
  const { type, data } = readTensor(proto);
  if (data instanceof Float32Array) return data;
  if (type === 'float16') return fromHalves(data as Uint16Array);
  if (type === 'bfloat16') return fromBfloat16s(data as Uint16Array);
  if (type === 'float64') return Float32Array.from(data as Float64Array);
  throw new OnnxLoraError('MODEL_UNSUPPORTED', `Tensor "${proto.name}" holds ${type} values where floats are needed.`);
}

/** Creates a `TensorProto` with `tensor`'s values. */
export function tensorProto(name: string, tensor: Tensor): TensorProto {
  const { data } = tensor;
  return {
    name,
    dims: [...tensor.dims],
    dataType: dataTypeNumber(tensor.type),
    rawData: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
  };
}

/** Bytes required by the tensor's shape and type; undefined for strings. */
export function expectedBytes(proto: TensorProto): number | undefined {
  return byteCount(proto.dataType ?? 0, sizeOf(proto.dims ?? []));
}

function fromRaw(type: NonNullable<ReturnType<typeof dataTypeName>>, bytes: Uint8Array): TensorData {
  const size = bytesPerElement(type);
  const ArrayType = arrayOf(type);
  const whole = bytes.length - (bytes.length % size);
  // Typed arrays need aligned offsets; copy only if unaligned. A Buffer's own `slice` would not copy.
  const aligned = bytes.byteOffset % size === 0 ? bytes : new Uint8Array(bytes);
  return new ArrayType(aligned.buffer as ArrayBuffer, aligned.byteOffset, whole / size);
}

function fromVarints(
  type: NonNullable<ReturnType<typeof dataTypeName>>,
  proto: TensorProto,
  count: number,
): TensorData {
  const packed = proto.int32Data ?? proto.int64Data ?? proto.uint64Data;
  if (!packed && count > 0) {
    throw new OnnxLoraError('MODEL_INVALID', `Tensor "${proto.name}" has no data.`);
  }
  const values = packed ? varints(readBytes(packed)) : [];
  const ArrayType = arrayOf(type);
  return ArrayType === BigInt64Array || ArrayType === BigUint64Array
    ? (ArrayType as BigInt64ArrayConstructor).from(values)
    : (ArrayType as Int32ArrayConstructor).from(values, Number);
}

function varints(bytes: Uint8Array): bigint[] {
  const values: bigint[] = [];
  let value = 0n;
  let shift = 0n;
  for (const byte of bytes) {
    value |= BigInt(byte & 0x7f) << shift;
    if (byte >= 0x80) {
      shift += 7n;
      if (shift > 63n) throw new OnnxLoraError('MODEL_INVALID', 'A tensor holds a number longer than 10 bytes.');
      continue;
    }
    values.push(BigInt.asIntN(64, value));
    value = 0n;
    shift = 0n;
  }
  return values;
}

/** A tensor's values as float32, without a copy if they are float32. */
export function floats(tensor: Tensor): Float32Array {
  const { data, dims, type } = tensor;
  if (data instanceof Float32Array) return data;
  const rawData = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return readFloats({ dims: [...dims], dataType: dataTypeNumber(type), rawData });
}

/** A one-element tensor; float32 for bool, as beside a condition, and for an unknown type. */
export function numberTensor(value: number, type: ValueType['type'], dims: readonly number[]): Tensor {
  if (type === undefined || type === 'bool') return float32([value], dims);
  const data = new (arrayOf(type))(1);
  if (type === 'float16') data[0] = toHalf(value);
  else if (type === 'bfloat16') data[0] = toBfloat16(value);
  else data[0] = data instanceof BigInt64Array || data instanceof BigUint64Array ? BigInt(value) : value;
  return { type, dims, data };
}
