/**
 * @file `.onnx_adapter` files, which ONNX Runtime's other languages load.
 *
 * The schema, as FlatBuffers with the identifier TORT:
 *
 *     Adapter   { 0 format_version: int32, 1 adapter_version: int32, 2 model_version: int32, 3 parameters: [Parameter] }
 *     Parameter { 0 name: string, 1 dims: [int64], 2 data_type: int32 (ONNX's number), 3 raw_data: [uint8], 8-aligned }
 */

import { OnnxLoraError } from '../../errors.ts';
import { dataTypeName, dataTypeNumber } from '../../graph/dataType.ts';
import { type Tensor, arrayOf, bytesPerElement, sizeOf } from '../../runtime/tensor.ts';
import { FlatBuffer, type FlatTable } from './flatBuffer.ts';
import { quote } from './foreignJson.ts';

const IDENTIFIER = 'TORT';
/** The only version that ONNX Runtime accepts. */
const FORMAT_VERSION = 1;

/**
 * Reads an `.onnx_adapter`: copies of the tensors by the names of ONNX Runtime's inputs.
 * @param name the file's name for errors
 * @throws OnnxLoraError `ADAPTER_INVALID` for any violation of the format
 */
export function parseOrtAdapter(bytes: Uint8Array, name: string): Map<string, Tensor> {
  const buffer = new FlatBuffer(bytes, name);
  const identifier = String.fromCharCode(...bytes.subarray(4, 8));
  if (identifier !== IDENTIFIER) buffer.fail(`bytes 4 to 8 are ${JSON.stringify(identifier)}, not "${IDENTIFIER}"`);
  const adapter = buffer.root();
  const version = adapter.int32(0);
  if (version !== FORMAT_VERSION) buffer.fail(`its format has version ${version}, and only ${FORMAT_VERSION} is known`);

  const tensors = new Map<string, Tensor>();
  const parameters = adapter.vector(3, 4) ?? { start: 0, length: 0 };
  let total = 0;
  for (let i = 0; i < parameters.length; i++) {
    const table = buffer.tableAt(buffer.follow(parameters.start + 4 * i));
    const key = parameterName(buffer, table, i);
    if (tensors.has(key)) buffer.fail(`it holds ${JSON.stringify(key)} twice`);
    const tensor = parameterTensor(buffer, table, key);
    // Parameters may share bytes, but a small file must not expand into a large one.
    total += tensor.data.byteLength;
    if (total > bytes.length) buffer.fail('its parameters overlap');
    tensors.set(key, tensor);
  }
  return tensors;
}

function parameterName(buffer: FlatBuffer, table: FlatTable, i: number): string {
  const text = table.vector(0, 1);
  if (!text || text.length === 0) return buffer.fail(`parameter ${i} has no name`);
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(buffer.copy(text.start, text.length));
  } catch {
    return buffer.fail(`the name of parameter ${i} is not UTF-8`);
  }
}

function parameterTensor(buffer: FlatBuffer, table: FlatTable, key: string): Tensor {
  const shown = quote(key);
  const number = table.int32(2);
  const type = dataTypeName(number);
  if (!type) return buffer.fail(`${shown} has the element type ${number}, and that is not supported`);
  const shape = table.vector(1, 8) ?? { start: 0, length: 0 };
  const raw = table.vector(3, 1);
  if (!raw) return buffer.fail(`${shown} has no data`);
  const dims: number[] = [];
  let size = bytesPerElement(type);
  for (let i = 0; i < shape.length; i++) {
    const dim = buffer.int64(shape.start + 8 * i);
    size *= dim;
    if (dim < 0 || size > Number.MAX_SAFE_INTEGER) buffer.fail(`${shown} has an impossible dimension ${dim}`);
    dims.push(dim);
  }
  if (size !== raw.length) {
    buffer.fail(`${shown} of type ${type} and shape [${dims.join(', ')}] needs ${size} bytes, but has ${raw.length}`);
  }
  return { type, dims, data: new (arrayOf(type))(buffer.copy(raw.start, raw.length).buffer) };
}

/** vtables: own size, the table's size, then offsets of the four fields in the table. */
const VTABLE = [12, 20, 4, 8, 12, 16];
const TABLE_BYTES = 20;
const ADAPTER_VTABLE = 8;
const PARAMETER_VTABLE = 20;
const ADAPTER_TABLE = 32;
const PARAMETERS = ADAPTER_TABLE + TABLE_BYTES;
/** FlatBuffers offsets have 32 bits, and readers reject more than half of the range. */
const MAX_BYTES = 2 ** 31 - 1;

/**
 * The bytes of an `.onnx_adapter`, with the caller's names, layout and scaling: ONNX Runtime feeds tensors unchanged.
 * @throws OnnxLoraError `INPUT_INVALID` for a scalar (use shape [1]), a bool, data unlike the shape, and over 2 GiB
 */
export function formatOrtAdapter(tensors: ReadonlyMap<string, Tensor>): Uint8Array {
  let end = PARAMETERS + 4 + 4 * tensors.size;
  const places = [...tensors].map(([name, tensor]) => {
    checkTensor(name, tensor);
    const text = new TextEncoder().encode(name);
    const table = align(end, 4);
    const nameAt = table + TABLE_BYTES;
    // A vector starts with its length in four bytes; its data are aligned to eight.
    const dimsAt = align(nameAt + 4 + text.length + 1 + 4, 8) - 4;
    const rawAt = align(dimsAt + 4 + 8 * tensor.dims.length + 4, 8) - 4;
    end = rawAt + 4 + tensor.data.byteLength;
    return { tensor, text, table, nameAt, dimsAt, rawAt };
  });
  if (end > MAX_BYTES) {
    throw new OnnxLoraError(
      'INPUT_INVALID',
      `An .onnx_adapter file holds at most 2 GiB, and this one would have ${end} bytes. Save fewer modules, or half precision.`,
    );
  }

  const bytes = new Uint8Array(align(end, 8));
  const view = new DataView(bytes.buffer);
  const offset = (at: number, to: number): void => view.setUint32(at, to - at, true);
  offset(0, ADAPTER_TABLE);
  bytes.set(new TextEncoder().encode(IDENTIFIER), 4);
  for (const start of [ADAPTER_VTABLE, PARAMETER_VTABLE]) {
    VTABLE.forEach((value, i) => view.setUint16(start + 2 * i, value, true));
  }
  view.setInt32(ADAPTER_TABLE, ADAPTER_TABLE - ADAPTER_VTABLE, true);
  view.setInt32(ADAPTER_TABLE + 4, FORMAT_VERSION, true);
  // The versions of adapter and model, which ONNX Runtime passes on unchecked.
  for (const at of [8, 12]) view.setInt32(ADAPTER_TABLE + at, 1, true);
  offset(ADAPTER_TABLE + 16, PARAMETERS);
  view.setUint32(PARAMETERS, places.length, true);
  places.forEach(({ tensor: { type, dims, data }, text, table, nameAt, dimsAt, rawAt }, i) => {
    offset(PARAMETERS + 4 + 4 * i, table);
    view.setInt32(table, table - PARAMETER_VTABLE, true);
    offset(table + 4, nameAt);
    offset(table + 8, dimsAt);
    view.setInt32(table + 12, dataTypeNumber(type), true);
    offset(table + 16, rawAt);
    view.setUint32(nameAt, text.length, true);
    bytes.set(text, nameAt + 4);
    view.setUint32(dimsAt, dims.length, true);
    dims.forEach((dim, j) => view.setBigInt64(dimsAt + 4 + 8 * j, BigInt(dim), true));
    view.setUint32(rawAt, data.byteLength, true);
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), rawAt + 4);
  });
  return bytes;
}

function checkTensor(name: string, { type, dims, data }: Tensor): void {
  const wrong =
    name === ''
      ? 'has no name'
      : dims.length === 0
        ? 'is a scalar, which ONNX Runtime refuses; give it the shape [1]'
        : type === 'bool'
          ? 'is of type bool, which ONNX Runtime refuses in adapters; make it uint8'
          : data.length !== sizeOf(dims) || !(data instanceof arrayOf(type))
            ? `says ${type} [${dims.join(', ')}] but holds ${data.length} values in a ${data.constructor.name}`
            : undefined;
  if (wrong) throw new OnnxLoraError('INPUT_INVALID', `Tensor "${name}" of the .onnx_adapter ${wrong}.`);
}

function align(at: number, to: number): number {
  return Math.ceil(at / to) * to;
}
