/** @file Converts inference requests and answers from and to gRPC messages. */

import type { Tensor } from '@onnx-lora/sdk';
import { inputInvalid } from '../http/errors.ts';
import { byName } from '../http/v2/binary.ts';
import type { Inferred, Named } from '../http/v2/infer.ts';
import { checked } from '../http/routes.ts';
import { type InferRequest, inferRequest, type Parameters } from '../http/v2/schemas.ts';
import { datatypeOf, fromBytes, fromValues, type TensorHeader, toBytes } from '../http/v2/tensors.ts';

/** A parameter: one key that names its type; 64-bit integers are strings. */
type Parameter = Readonly<Partial<Record<string, string | number | boolean>>>;
type Values = readonly (string | number | boolean)[];

interface InputMessage {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly string[];
  readonly parameters: Readonly<Record<string, Parameter>>;
  readonly contents: Readonly<Record<string, Values>> | null;
}

export interface InferMessage {
  readonly model_name: string;
  readonly model_version: string;
  readonly id: string;
  readonly parameters: Readonly<Record<string, Parameter>>;
  readonly inputs: readonly InputMessage[];
  readonly outputs: readonly { readonly name: string }[];
  readonly raw_input_contents: readonly Buffer[];
}

export interface InferenceRequest {
  readonly named: Named;
  readonly asked: InferRequest;
  /** @throws OnnxLoraError `INPUT_INVALID` for invalid values */
  readonly feeds: () => Record<string, Tensor>;
}

/** Checks a request. @throws HttpError 400 */
export function inferenceOf(message: InferMessage): InferenceRequest {
  const { model_name: model, model_version: version, id, inputs, outputs, raw_input_contents: raw } = message;
  const asked = checked(
    inferRequest,
    {
      ...(id !== '' && { id }),
      parameters: parametersOf(message.parameters),
      inputs: inputs.map(({ name, datatype, shape }) => ({ name, datatype, shape: shape.map(Number) })),
      ...(outputs.length > 0 && { outputs: outputs.map(({ name }) => ({ name })) }),
    },
    'The request',
  );
  return {
    named: namedBy(model, version),
    asked,
    feeds: () => {
      if (raw.length === 0) return byName(asked.inputs, (input, i) => fromContents(input, inputs[i]!.contents ?? {}));
      if (raw.length !== inputs.length || inputs.some(({ contents }) => contents !== null))
        throw inputInvalid(
          `${raw.length} raw_input_contents were sent for ${inputs.length} inputs. Send one for each, and no other contents.`,
        );
      return byName(asked.inputs, (input, i) => fromBytes(input, raw[i]!));
    },
  };
}

/** The model of a message, where empty text means absent. */
export function namedBy(model: string, version: string): Named {
  return { model, ...(version !== '' && { version }) };
}

function parametersOf(messages: Readonly<Record<string, Parameter>>): Parameters {
  const all = Object.entries(messages).map(([name, given]) => {
    const [[type, value] = ['', null] as const] = Object.entries(given);
    return [name, /^u?int64/.test(type) ? Number(value) : (value ?? null)] as const;
  });
  return Object.fromEntries(all);
}

/** Fields of typed values by datatype. */
const contentsOf = {
  BOOL: 'bool_contents',
  INT8: 'int_contents',
  INT16: 'int_contents',
  INT32: 'int_contents',
  INT64: 'int64_contents',
  UINT8: 'uint_contents',
  UINT16: 'uint_contents',
  UINT32: 'uint_contents',
  UINT64: 'uint64_contents',
  FP32: 'fp32_contents',
  FP64: 'fp64_contents',
  FP16: undefined,
  BF16: undefined,
} as const;

function fromContents(header: TensorHeader, contents: Readonly<Record<string, Values>>): Tensor {
  const { name, datatype } = header;
  const field = contentsOf[datatype];
  if (field === undefined)
    throw inputInvalid(`The tensor "${name}": values of ${datatype} are bytes. Send them as raw_input_contents.`);
  const values = contents[field] ?? [];
  const other = Object.keys(contents).find((key) => key !== field && contents[key]!.length > 0);
  if (other !== undefined)
    throw inputInvalid(`The tensor "${name}": its values are ${other}, and those of ${datatype} are ${field}.`);
  return fromValues(header, field.endsWith('int64_contents') ? values.map(BigInt) : values);
}

/** Converts an answer, with binary tensors. */
export function messageOf({ outputs, answer }: Inferred): object {
  const { parameters = {}, ...rest } = answer;
  return {
    ...rest,
    outputs: outputs.map(([name, { type, dims }]) => ({ name, shape: dims, datatype: datatypeOf(type) })),
    parameters: Object.fromEntries(Object.entries(parameters).map(([key, value]) => [key, { string_param: value }])),
    raw_output_contents: outputs.map(([, tensor]) => toBytes(tensor)),
  };
}
