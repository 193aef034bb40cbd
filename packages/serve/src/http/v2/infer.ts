/** @file The protocol's functions, for HTTP and gRPC. */

import type { Feeds, Tensor } from '@onnx-lora/sdk';
import { isRunFailure } from '@onnx-lora/sdk/core';
import type { GraphPort } from '@onnx-lora/sdk/tasks';
import { runAs, ownerOf } from '../../inference/request.ts';
import type { Caller } from '../../operation/access.ts';
import { HttpError, inputInvalid } from '../errors.ts';
import type { InferRequest, InferResponse, ModelMetadata, PortMetadata } from './schemas.ts';
import { BASE_VERSION, withAdapter, type Service, type AdapterSelection } from '../service.ts';
import { datatypeOf } from './tensors.ts';

export interface ServerMetadata {
  readonly name: string;
  readonly version: string;
  readonly extensions: string[];
}

/** The server's metadata. */
export function serverMetadata({ version }: Service): ServerMetadata {
  return {
    name: 'onnx-lora',
    version,
    extensions: ['binary_tensor_data', 'model_repository', 'model_configuration', 'statistics'],
  };
}

export type Named = Pick<AdapterSelection, 'model' | 'version'> & { readonly model: string };

/** @throws HttpError 503 while the server is not ready */
export function requireReady(service: Service): void {
  if (!service.isReady()) throw new HttpError(503, 'NOT_READY', 'The server is loading, or drains before it stops.');
}

/** Inputs and outputs of a model. @throws OnnxLoraError as `resolved` */
export async function metadataOf(service: Service, named: Named, caller: Caller): Promise<ModelMetadata> {
  const adapter = await withAdapter(service, named, caller);
  const { model } = await service.variants.get(adapter);
  return {
    name: named.model,
    versions: [adapter?.version ?? BASE_VERSION],
    platform: 'onnxruntime_onnx',
    inputs: Object.entries(model.inputs).map(described),
    outputs: Object.entries(model.outputs).map(described),
  };
}

function described([name, { type, dims = [] }]: [string, GraphPort]): PortMetadata {
  return { name, datatype: datatypeOf(type), shape: dims.map((dim) => (typeof dim === 'number' ? dim : -1)) };
}

export interface InferenceCaller {
  readonly caller: Caller;
  readonly signal: AbortSignal;
  /** Deadline by `performance.now()`. */
  readonly deadline?: number | undefined;
}

export interface Inferred {
  /** In the requested order. */
  readonly outputs: readonly (readonly [string, Tensor])[];
  /** The rest of the answer. */
  readonly answer: Omit<InferResponse, 'outputs'>;
}

/**
 * Runs a model.
 * @param feedsOf reads the tensors, after the adapter is resolved
 * @throws OnnxLoraError `INPUT_INVALID`, `OVERLOADED`, `CANCELLED`; as `resolved` and the session
 */
export async function infer(
  service: Service,
  named: Named,
  asked: InferRequest,
  feedsOf: () => Feeds,
  { caller, signal, deadline = Infinity }: InferenceCaller,
): Promise<Inferred> {
  const parameters = asked.parameters ?? {};
  const wanted = { ...named, adapter: text('lora', parameters['lora']), sticky: text('sticky', parameters['sticky']) };
  const adapter = await withAdapter(service, wanted, caller);
  const feeds = feedsOf();
  const variant = await service.variants.get(adapter);
  const names = Object.keys(variant.model.outputs);
  const fetches = asked.outputs?.map(({ name }) => name) ?? names;
  const unknown = fetches.find((name) => !Object.hasOwn(variant.model.outputs, name));
  if (unknown !== undefined) throw inputInvalid(`There is no output "${unknown}". There are ${names.join(', ')}.`);
  const session = await variant.session();
  const owner = ownerOf(caller, parameters, signal);
  const until = Math.min(owner.deadline ?? Infinity, deadline);
  const outputs = await runAs({ ...owner, ...(until !== Infinity && { deadline: until }) }, () =>
    session.run(feeds, { adapter: adapter?.key ?? null, fetches }),
  ).catch((error: unknown) => {
    throw unfit(named.model, feeds, error);
  });
  return {
    outputs: fetches.map((name) => [name, outputs[name]!] as const),
    answer: {
      model_name: named.model,
      model_version: adapter?.version ?? BASE_VERSION,
      ...(asked.id !== undefined && { id: asked.id }),
      ...(adapter && { parameters: { lora: adapter.name, lora_digest: adapter.digest } }),
    },
  };
}

/**
 * Clients choose open sizes, so the model's own failure means that they do not fit: more tokens than positions, a
 * picture smaller than a patch, no rows.
 */
function unfit(model: string, feeds: Feeds, error: unknown): unknown {
  if (!isRunFailure(error)) return error;
  const given = Object.entries(feeds).map(([name, { type, dims }]) => `${name} as ${type} [${dims.join(', ')}]`);
  return inputInvalid(
    `"${model}" cannot be computed with ${given.join(', ')}. Sizes that it leaves open have bounds of their own: send at least one row, and sizes like those of its examples.`,
    { cause: error },
  );
}

/** @throws OnnxLoraError `INPUT_INVALID` for a parameter that is no text */
function text(name: string, value: unknown): string | undefined {
  if (value === undefined || value === null || typeof value === 'string') return value ?? undefined;
  throw inputInvalid(`The parameter "${name}" is ${JSON.stringify(value)}. Give a text.`);
}
