/** @file Small integers in tensors: 8 bits each, or several per byte, the lowest bits first. */

import { byteLength, readBytes } from '../../graph/bytes.ts';
import type { TensorProto } from '../../graph/proto.ts';
import { rawBytes, readTensor } from '../../graph/tensorData.ts';
import { sizeOf } from '../../runtime/tensor.ts';

/** An integer type of codes. */
export interface CodeType {
  readonly name: string;
  readonly bits: 2 | 4 | 8 | 16 | 32;
  readonly min: number;
  readonly max: number;
}

function signed(bits: CodeType['bits']): CodeType {
  return { name: `int${bits}`, bits, min: -(2 ** (bits - 1)), max: 2 ** (bits - 1) - 1 };
}

/** Unsigned codes. */
export function unsigned(bits: CodeType['bits']): CodeType {
  return { name: `uint${bits}`, bits, min: 0, max: 2 ** bits - 1 };
}

const types: Readonly<Record<number, CodeType>> = {
  2: unsigned(8), 3: signed(8), 4: unsigned(16), 5: signed(16), 6: signed(32),
  21: unsigned(4), 22: signed(4), 25: unsigned(2), 26: signed(2),
}; // prettier-ignore

/** The integer type of a tensor's elements; undefined for floats, float8 and the like. */
export function codeType(dataType: number | undefined): CodeType | undefined {
  return types[dataType ?? 0];
}

/** The integers of a tensor, in row-major order; undefined if its bytes do not fill its shape. */
export function readCodes(tensor: TensorProto): Int32Array | undefined {
  const type = codeType(tensor.dataType);
  const count = sizeOf(tensor.dims ?? []);
  if (!type) return undefined;
  if (type.bits >= 8) return Int32Array.from(readTensor(tensor).data as ArrayLike<number>);
  const raw = rawBytes(tensor);
  if (!raw) return tensor.int32Data ? unpack(readTensorBytes(tensor), count, type) : undefined;
  return byteLength(raw) * 8 >= count * type.bits ? unpack(readBytes(raw), count, type) : undefined;
}

/** Packed values stored as varints, one byte in each. */
function readTensorBytes({ dims = [], dataType, int32Data }: TensorProto): Uint8Array {
  const bytes = Math.ceil((sizeOf(dims) * types[dataType!]!.bits) / 8);
  const { data } = readTensor({ dims: [bytes], dataType: 6, int32Data: int32Data! });
  return Uint8Array.from(data as Int32Array);
}

/** Unpacks `count` integers. */
export function unpack(bytes: Uint8Array, count: number, { bits, min }: CodeType): Int32Array {
  const perByte = 8 / bits;
  const mask = 2 ** bits - 1;
  const half = min < 0 ? 2 ** (bits - 1) : Infinity;
  const result = new Int32Array(count);
  for (let i = 0; i < count; i++) {
    const code = (bytes[Math.floor(i / perByte)]! >> ((i % perByte) * bits)) & mask;
    result[i] = code >= half ? code - mask - 1 : code;
  }
  return result;
}

/** Packs integers into bytes, the lowest bits first. */
export function pack(codes: ArrayLike<number>, { bits }: CodeType): Uint8Array {
  if (bits === 16) return new Uint8Array(Int16Array.from(codes).buffer);
  if (bits === 32) return new Uint8Array(Int32Array.from(codes).buffer);
  const perByte = 8 / bits;
  const mask = 2 ** bits - 1;
  const bytes = new Uint8Array(Math.ceil(codes.length / perByte));
  for (let i = 0; i < codes.length; i++)
    bytes[Math.floor(i / perByte)]! |= (codes[i]! & mask) << ((i % perByte) * bits);
  return bytes;
}

/** A tensor of the same type and shape with other integers. */
export function withCodes(tensor: TensorProto, codes: ArrayLike<number>): TensorProto {
  return {
    ...(tensor.name === undefined ? {} : { name: tensor.name }),
    dims: [...(tensor.dims ?? [])],
    dataType: tensor.dataType!,
    rawData: pack(codes, codeType(tensor.dataType)!),
  };
}

/** Packed codes in byte-aligned rows. */
export interface PackedRows {
  readonly rows: number;
  readonly width: number;
  readonly bytes: number;
}

/** Unpacks all rows. */
export function readRows(tensor: TensorProto, { rows, width, bytes }: PackedRows, type: CodeType): Int32Array {
  const all = readBytes(rawBytes(tensor) ?? new Uint8Array());
  const result = new Int32Array(rows * width);
  for (let row = 0; row < rows; row++)
    result.set(unpack(all.subarray(row * bytes, (row + 1) * bytes), width, type), row * width);
  return result;
}

/** The same tensor with other integers. @param fill the padding code of each row */
export function withRows(
  { name, dims, dataType }: TensorProto,
  codes: ArrayLike<number>,
  { rows, width, bytes }: PackedRows,
  type: CodeType,
  fill: (row: number) => number = () => 0,
): TensorProto {
  const rawData = new Uint8Array(rows * bytes);
  const own = new Int32Array((bytes * 8) / type.bits);
  for (let row = 0; row < rows; row++) {
    own.fill(fill(row));
    for (let i = 0; i < width; i++) own[i] = codes[row * width + i]!;
    rawData.set(pack(own, type), row * bytes);
  }
  return { ...(name === undefined ? {} : { name }), dims: [...(dims ?? [])], dataType: dataType!, rawData };
}
