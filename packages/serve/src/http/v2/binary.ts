/** @file The binary tensor extension: tensors as bytes behind the JSON. */

import type { Tensor } from '@onnx-lora/sdk';
import { inputInvalid } from '../errors.ts';
import type { InferRequest, TensorMessage } from './schemas.ts';
import { datatypeOf, fromBytes, fromValues, toBytes, toJson } from './tensors.ts';

/** Splits a body into JSON and bytes by the length header. @throws OnnxLoraError `INPUT_INVALID` */
export function splitBinaryBody(body: Buffer, length: string | undefined): Readonly<Record<'json' | 'bytes', Buffer>> {
  if (length === undefined) return { json: body, bytes: body.subarray(body.length) };
  const end = /^\d{1,15}$/.test(length) ? Number(length) : NaN;
  if (!(end <= body.length)) {
    throw inputInvalid(
      `Inference-Header-Content-Length is "${length}", and the body has ${body.length} bytes. It is the number of bytes of the JSON.`,
    );
  }
  return { json: body.subarray(0, end), bytes: body.subarray(end) };
}

/**
 * Reads a request's tensors from JSON or from consecutive bytes behind it.
 * @throws OnnxLoraError `INPUT_INVALID` for duplicate names, missing or extra bytes, and invalid values
 */
export function tensorsOf({ inputs }: InferRequest, bytes: Buffer): Record<string, Tensor> {
  let at = 0;
  const tensors = byName(inputs, (input) => {
    const size = input.parameters?.['binary_data_size'];
    if (size === undefined) return fromValues(input, input.data);
    const isThere = typeof size === 'number' && Number.isSafeInteger(size) && size >= 0 && at + size <= bytes.length;
    if (!isThere)
      throw inputInvalid(`binary_data_size of "${input.name}" is ${String(size)}, and ${bytes.length - at} bytes are left behind the JSON.`); // prettier-ignore
    at += size;
    return fromBytes(input, bytes.subarray(at - size, at));
  });
  if (at !== bytes.length)
    throw inputInvalid(
      `${bytes.length - at} bytes behind the JSON belong to no input. Give each its binary_data_size.`,
    );
  return tensors;
}

/** Inputs by name. @throws OnnxLoraError `INPUT_INVALID` for duplicate names */
export function byName(
  inputs: readonly TensorMessage[],
  read: (input: TensorMessage, i: number) => Tensor,
): Record<string, Tensor> {
  const tensors = new Map<string, Tensor>();
  for (const [i, input] of inputs.entries()) {
    if (tensors.has(input.name)) throw inputInvalid(`The input "${input.name}" was sent twice. Send it once.`);
    tensors.set(input.name, read(input, i));
  }
  return Object.fromEntries(tensors);
}

export interface Messages {
  readonly outputs: TensorMessage[];
  readonly bytes: Buffer[];
}

/** Encodes outputs as requested. @throws OnnxLoraError `INPUT_INVALID` for values that JSON cannot represent */
export function messagesOf(tensors: readonly (readonly [string, Tensor])[], request: InferRequest): Messages {
  const all = request.parameters?.['binary_data_output'] === true;
  const messages: Messages = { outputs: [], bytes: [] };
  for (const [name, tensor] of tensors) {
    const asked = request.outputs?.find((each) => each.name === name)?.parameters?.['binary_data'];
    const header = { name, shape: tensor.dims, datatype: datatypeOf(tensor.type) };
    if (typeof asked === 'boolean' ? asked : all) {
      const bytes = toBytes(tensor);
      messages.bytes.push(bytes);
      messages.outputs.push({ ...header, parameters: { binary_data_size: bytes.length } });
    } else messages.outputs.push({ ...header, data: toJson(name, tensor) });
  }
  return messages;
}
