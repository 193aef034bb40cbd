/** @file Schemas and types of the Open Inference Protocol's bodies. */

import { z } from 'zod';
import { type Datatype, datatypes } from './tensors.ts';

export type Parameters = Readonly<Record<string, string | number | boolean | null>>;

/** A tensor in a message; its values may be bytes behind the JSON. */
export interface TensorMessage {
  readonly name: string;
  readonly shape: readonly number[];
  readonly datatype: Datatype;
  readonly parameters?: Parameters | undefined;
  readonly data?: unknown;
}

export interface InferRequest {
  readonly id?: string | undefined;
  readonly parameters?: Parameters | undefined;
  readonly inputs: readonly TensorMessage[];
  readonly outputs?: readonly { readonly name: string; readonly parameters?: Parameters | undefined }[] | undefined;
}

export interface InferResponse {
  readonly model_name: string;
  readonly model_version: string;
  readonly id?: string | undefined;
  readonly parameters?: Parameters | undefined;
  readonly outputs: readonly TensorMessage[];
}

const name = z.string().min(1).max(1000);
const parameters: z.ZodType<Parameters> = z
  .record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()]))
  .describe('settings beside the tensors');

const tensorMessage: z.ZodType<TensorMessage> = z.object({
  name,
  shape: z.array(z.int().min(0)).max(16),
  datatype: z.enum(Object.keys(datatypes) as [Datatype, ...Datatype[]]),
  parameters: parameters.optional(),
  // Checked once, when converted to a tensor.
  data: z.unknown().optional().describe('the values, row by row: a list, or lists in lists'),
});

/** @see https://github.com/kserve/open-inference-protocol */
export const inferRequest: z.ZodType<InferRequest> = z.object({
  id: z.string().max(1000).optional(),
  parameters: parameters.optional().describe('"lora" names the adapter; "binary_data_output" asks for bytes'),
  inputs: z.array(tensorMessage).min(1).max(1000),
  outputs: z
    .array(z.object({ name, parameters: parameters.optional() }))
    .max(1000)
    .optional(),
});

export const inferResponse: z.ZodType<InferResponse> = z.object({
  model_name: z.string(),
  model_version: z.string(),
  id: z.string().optional(),
  parameters: parameters.optional(),
  outputs: z.array(tensorMessage),
});

/** An input or output. */
export interface PortMetadata {
  /** Name of the input or output. */
  readonly name: string;
  /** Type of its values: `FP32`. */
  readonly datatype: string;
  /** Sizes; -1 for any. */
  readonly shape: readonly number[];
}

/** Inputs and outputs of a model. */
export interface ModelMetadata {
  /** The base, or `base:adapter`. */
  readonly name: string;
  /** The version that answers. */
  readonly versions: readonly string[];
  /** The runtime. */
  readonly platform: string;
  /** Inputs. */
  readonly inputs: readonly PortMetadata[];
  /** Outputs. */
  readonly outputs: readonly PortMetadata[];
}

const port = z.object({ name: z.string(), datatype: z.string(), shape: z.array(z.int()).describe('-1 for any size') });

export const modelMetadata: z.ZodType<ModelMetadata> = z.object({
  name: z.string(),
  versions: z.array(z.string()),
  platform: z.string(),
  inputs: z.array(port),
  outputs: z.array(port),
});
