/** @file Tensors as typed arrays, and as the bytes that the protocol sends behind its JSON. */

import type { InferRequest, InferResponse, TensorMessage } from '../http/v2/schemas.ts';
import type { Datatype } from '../http/v2/tensors.ts';

/** Arrays that hold a tensor's values. */
export type TensorValues =
  | Float32Array
  | Float64Array
  | Int8Array
  | Int16Array
  | Int32Array
  | BigInt64Array
  | Uint8Array
  | Uint16Array
  | Uint32Array
  | BigUint64Array;

/** What is sent under a name. */
export interface InputTensor {
  /** Row by row. */
  readonly data: TensorValues;
  /** As many sizes as there are dimensions. */
  readonly shape: readonly number[];
  /** By default that of the array; said for `BOOL` (bytes of 0 and 1), and for `FP16` and `BF16` (their bits). */
  readonly datatype?: Datatype | undefined;
}

/** What came under a name. */
export interface OutputTensor {
  /** Row by row. */
  readonly data: TensorValues;
  /** As many sizes as there are dimensions. */
  readonly shape: readonly number[];
  /** What the values are. */
  readonly datatype: Datatype;
}

type Constructor = new (buffer: ArrayBuffer) => TensorValues;

const arrays: Readonly<Record<Datatype, Constructor>> = {
  FP32: Float32Array,
  FP64: Float64Array,
  INT8: Int8Array,
  INT16: Int16Array,
  INT32: Int32Array,
  INT64: BigInt64Array,
  // Before those of other meaning: it is what an array of its kind is taken for.
  UINT8: Uint8Array,
  UINT16: Uint16Array,
  UINT32: Uint32Array,
  UINT64: BigUint64Array,
  BOOL: Uint8Array,
  FP16: Uint16Array,
  BF16: Uint16Array,
};

/** Says how long the JSON is; the rest are bytes. */
export const HEADER_LENGTH = 'inference-header-content-length';

/** A body, and how long the JSON at its beginning is. */
export interface BinaryBody {
  readonly body: Uint8Array<ArrayBuffer>;
  readonly header: number;
}

/** A request with the values of all inputs as bytes. */
export function binaryRequest(
  inputs: Readonly<Record<string, InputTensor>>,
  more: Pick<InferRequest, 'parameters' | 'outputs'>,
): BinaryBody {
  const tensors = Object.entries(inputs);
  const asked: InferRequest = {
    ...more,
    parameters: { ...more.parameters, binary_data_output: true },
    inputs: tensors.map(([name, { data, shape, datatype = datatypeOf(data) }]) => {
      return { name, shape, datatype, parameters: { binary_data_size: data.byteLength } };
    }),
  };
  const json = new TextEncoder().encode(JSON.stringify(asked));
  const body = new Uint8Array(tensors.reduce((sum, [, { data }]) => sum + data.byteLength, json.length));
  body.set(json);
  let at = json.length;
  for (const [, { data }] of tensors) {
    body.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at);
    at += data.byteLength;
  }
  return { body, header: json.length };
}

/** An answer whose values are bytes, and what stands before them. */
export function binaryAnswer(
  bytes: ArrayBuffer,
  header: number,
): { readonly answer: InferResponse; readonly outputs: Record<string, OutputTensor> } {
  const answer = JSON.parse(new TextDecoder().decode(new Uint8Array(bytes, 0, header))) as InferResponse;
  let at = header;
  const outputs = answer.outputs.map(({ name, shape, datatype, parameters }: TensorMessage) => {
    const size = Number(parameters?.['binary_data_size'] ?? 0);
    // Copied, because bytes need not begin where an array of larger numbers may.
    const data = new arrays[datatype](bytes.slice(at, at + size));
    at += size;
    return [name, { data, shape, datatype }] as const;
  });
  return { answer, outputs: Object.fromEntries(outputs) };
}

function datatypeOf(data: TensorValues): Datatype {
  const found = Object.entries(arrays).find(([, array]) => data instanceof array);
  if (found) return found[0] as Datatype;
  throw new TypeError('The values of a tensor are a typed array, such as Float32Array.');
}
