/** @file The Open Inference Protocol v2, as Triton's and KServe's clients speak it. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { GraphPort } from '@onnx-lora/sdk/tasks';
import { z } from 'zod';
import { inNameOf } from '../inference/request.ts';
import { HEADER_LENGTH, messagesOf, tensorsOf, twoParts } from './binary.ts';
import { HttpError } from './errors.ts';
import { ownerOf } from './owner.ts';
import { type Asked, jsonBody, type Route, route } from './routes.ts';
import { inferRequest, inferResponse, type ModelMetadata, modelMetadata, type PortMetadata } from './schemas.ts';
import { BASE_VERSION, resolved, type Service } from './service.ts';
import { datatypeOf } from './tensors.ts';

const model = z.object({ model: z.string().describe('the base, or "base:adapter"') });
const versioned = model.extend({ version: z.string().optional() });
type Params = z.infer<typeof versioned>;

/** The protocol's routes. */
export function v2Routes(service: Service): Route[] {
  const live = async (): Promise<{ live: boolean }> => ({ live: true });
  const ready = async (): Promise<{ ready: boolean }> => {
    if (!service.isReady()) throw new HttpError(503, 'NOT_READY', 'The server is loading, or drains before it stops.');
    return { ready: true };
  };
  const modelReady = async ({ params, caller }: Asked<Params, unknown>): Promise<{ name: string; ready: boolean }> => {
    await ready();
    await resolved(service, params, caller);
    return { name: params.model, ready: true };
  };
  const isLive = z.object({ live: z.boolean() });
  const isReady = z.object({ ready: z.boolean() });
  const isModelReady = z.object({ name: z.string(), ready: z.boolean() });
  const infer = {
    'application/json': inferRequest,
    'application/octet-stream': `JSON, as long as ${HEADER_LENGTH} says, and the bytes of tensors behind it`,
  };
  return [
    route({
      method: 'GET',
      url: '/v2/health/live',
      access: 'open',
      summary: 'whether the server runs',
      answer: isLive,
      handle: live,
    }),
    route({
      method: 'GET',
      url: '/v2/health/ready',
      access: 'open',
      summary: 'whether it takes requests',
      answer: isReady,
      handle: ready,
    }),
    route({
      method: 'GET',
      url: '/v2',
      access: 'open',
      summary: 'what the server is',
      answer: z.object({ name: z.string(), version: z.string(), extensions: z.array(z.string()) }),
      handle: async () => ({
        name: 'onnx-lora',
        version: service.version,
        extensions: ['binary_tensor_data', 'model_repository'],
      }),
    }),
    ...['', '/versions/:version'].flatMap((version) => [
      route({
        method: 'GET',
        url: `/v2/models/:model${version}`,
        summary: 'inputs and outputs of a model',
        params: versioned,
        answer: modelMetadata,
        handle: (asked) => metadata(service, asked),
      }),
      route({
        method: 'GET',
        url: `/v2/models/:model${version}/ready`,
        summary: 'whether a model takes requests',
        params: versioned,
        answer: isModelReady,
        handle: modelReady,
      }),
      route({
        method: 'POST',
        url: `/v2/models/:model${version}/infer`,
        summary: 'run a model on tensors',
        params: versioned,
        body: infer,
        answer: inferResponse,
        handle: (asked) => answered(service, asked),
      }),
    ]),
  ];
}

async function metadata(service: Service, { params, caller }: Asked<Params, unknown>): Promise<ModelMetadata> {
  const adapter = await resolved(service, params, caller);
  const { model: own } = await service.variants.get(adapter);
  return {
    name: params.model,
    versions: [adapter?.version ?? BASE_VERSION],
    platform: 'onnxruntime_onnx',
    inputs: Object.entries(own.inputs).map(described),
    outputs: Object.entries(own.outputs).map(described),
  };
}

function described([name, { type, dims = [] }]: [string, GraphPort]): PortMetadata {
  return { name, datatype: datatypeOf(type), shape: dims.map((dim) => (typeof dim === 'number' ? dim : -1)) };
}

async function answered(
  service: Service,
  { params, body, request, reply, caller, signal }: Asked<Params, unknown>,
): Promise<unknown> {
  const { json, bytes } = twoParts(body, headerOf(request.headers[HEADER_LENGTH]));
  const asked = jsonBody(inferRequest, json);
  const { lora, sticky } = asked.parameters ?? {};
  const adapter = await resolved(
    service,
    { ...params, adapter: text('lora', lora), sticky: text('sticky', sticky) },
    caller,
  );
  const feeds = tensorsOf(asked, bytes);
  const variant = await service.variants.get(adapter);
  const fetches = asked.outputs?.map(({ name }) => name) ?? Object.keys(variant.model.outputs);
  const unknown = fetches.find((name) => !Object.hasOwn(variant.model.outputs, name));
  if (unknown !== undefined)
    throw new OnnxLoraError(
      'INPUT_INVALID',
      `There is no output "${unknown}". There are ${Object.keys(variant.model.outputs).join(', ')}.`,
    );
  const session = await variant.session();
  const outputs = await inNameOf(ownerOf(caller, asked.parameters ?? {}, signal), () =>
    session.run(feeds, { adapter: adapter?.key ?? null, fetches }),
  );
  const messages = messagesOf(fetches.map((name) => [name, outputs[name]!] as const), asked); // prettier-ignore
  const answer = {
    model_name: params.model,
    model_version: adapter?.version ?? BASE_VERSION,
    ...(asked.id !== undefined && { id: asked.id }),
    ...(adapter && { parameters: { lora: adapter.name, lora_digest: adapter.digest } }),
    outputs: messages.outputs,
  };
  if (messages.bytes.length === 0) return answer;
  const header = Buffer.from(JSON.stringify(answer));
  await reply
    .header(HEADER_LENGTH, header.length)
    .type('application/octet-stream')
    .send(Buffer.concat([header, ...messages.bytes]));
  return undefined;
}

function headerOf(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value;
}

/** @throws OnnxLoraError `INPUT_INVALID` for a parameter that is no text */
function text(name: string, value: unknown): string | undefined {
  if (value === undefined || value === null || typeof value === 'string') return value ?? undefined;
  throw new OnnxLoraError('INPUT_INVALID', `The parameter "${name}" is ${JSON.stringify(value)}. Give a text.`);
}
