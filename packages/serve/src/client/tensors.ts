/** @file Tensors as typed arrays, and in the protocol's binary form. */

import type { InferRequest, InferResponse, TensorMessage } from '../http/v2/schemas.ts';
import type { Datatype } from '../http/v2/tensors.ts';

/** Typed arrays of tensors. */
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

/** An input tensor. */
export interface InputTensor {
  /** Values in row-major order. */
  readonly data: TensorValues;
  /** Size per dimension. */
  readonly shape: readonly number[];
  /** Datatype, by default the array's; needed for `BOOL` (bytes of 0 and 1), `FP16` and `BF16` (their bits). */
  readonly datatype?: Datatype | undefined;
}

/** An output tensor. */
export interface OutputTensor {
  /** Values in row-major order. */
  readonly data: TensorValues;
  /** Size per dimension. */
  readonly shape: readonly number[];
  /** Type of the values. */
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
  // First, since `datatypeOf` takes the first match.
  UINT8: Uint8Array,
  UINT16: Uint16Array,
  UINT32: Uint32Array,
  UINT64: BigUint64Array,
  BOOL: Uint8Array,
  FP16: Uint16Array,
  BF16: Uint16Array,
};

/** Header with the length of the JSON before the bytes. */
export const HEADER_LENGTH = 'inference-header-content-length';

export interface BinaryBody {
  readonly body: Uint8Array<ArrayBuffer>;
  readonly header: number;
}

/** Encodes a request with binary tensors. */
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

/** Decodes an answer with binary tensors. */
export function binaryAnswer(
  bytes: ArrayBuffer,
  header: number,
): { readonly answer: InferResponse; readonly outputs: Record<string, OutputTensor> } {
  const answer = JSON.parse(new TextDecoder().decode(new Uint8Array(bytes, 0, header))) as InferResponse;
  let at = header;
  const outputs = answer.outputs.map(({ name, shape, datatype, parameters }: TensorMessage) => {
    const size = Number(parameters?.['binary_data_size'] ?? 0);
    // Copied for alignment.
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
