/** @file The Open Inference Protocol v2, as Triton's and KServe's clients speak it. */

import { z } from 'zod';
import { HEADER_LENGTH, messagesOf, tensorsOf, twoParts } from './binary.ts';
import { infer, metadataOf, requireReady, serverMetadata } from './infer.ts';
import { jsonBody, TENSOR_BUDGET } from '../json.ts';
import { type Asked, type Route, route } from '../routes.ts';
import { inferRequest, inferResponse, modelMetadata } from './schemas.ts';
import { resolved, type Service } from '../service.ts';
import { configOf, statisticsOf } from './triton.ts';

const model = z.object({ model: z.string().describe('the base, or "base:adapter"') });
const versioned = model.extend({ version: z.string().optional() });
type Params = z.infer<typeof versioned>;

/** The protocol's routes. */
export function v2Routes(service: Service): Route[] {
  const live = async (): Promise<{ live: boolean }> => ({ live: true });
  const ready = async (): Promise<{ ready: boolean }> => {
    requireReady(service);
    return { ready: true };
  };
  const modelReady = async ({ params, caller }: Asked<Params, unknown>): Promise<{ name: string; ready: boolean }> => {
    requireReady(service);
    await resolved(service, params, caller);
    return { name: params.model, ready: true };
  };
  const isLive = z.object({ live: z.boolean() });
  const isReady = z.object({ ready: z.boolean() });
  const isModelReady = z.object({ name: z.string(), ready: z.boolean() });
  const bodies = {
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
      handle: async () => serverMetadata(service),
    }),
    route({
      method: 'GET',
      url: '/v2/models/stats',
      summary: 'what all models have computed, as Triton tells it',
      answer: z.record(z.string(), z.unknown()),
      handle: ({ caller }) => statisticsOf(service, {}, caller),
    }),
    ...['', '/versions/:version'].flatMap((version) => [
      route({
        method: 'GET',
        url: `/v2/models/:model${version}`,
        summary: 'inputs and outputs of a model',
        params: versioned,
        answer: modelMetadata,
        handle: ({ params, caller }) => metadataOf(service, params, caller),
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
        method: 'GET',
        url: `/v2/models/:model${version}/config`,
        summary: 'how a model is configured, as Triton tells it',
        params: versioned,
        answer: z.record(z.string(), z.unknown()),
        handle: ({ params, caller }) => configOf(service, params, caller),
      }),
      route({
        method: 'GET',
        url: `/v2/models/:model${version}/stats`,
        summary: 'what a model has computed, as Triton tells it',
        params: versioned,
        answer: z.record(z.string(), z.unknown()),
        handle: ({ params, caller }) => statisticsOf(service, params, caller),
      }),
      route({
        method: 'POST',
        url: `/v2/models/:model${version}/infer`,
        summary: 'run a model on tensors',
        params: versioned,
        body: bodies,
        answer: inferResponse,
        isComputed: true,
        handle: (asked) => answered(service, asked),
      }),
    ]),
  ];
}

async function answered(
  service: Service,
  { params, body, request, reply, caller, signal }: Asked<Params, unknown>,
): Promise<unknown> {
  const { json, bytes } = twoParts(body, headerOf(request.headers[HEADER_LENGTH]));
  const asked = await jsonBody(inferRequest, json, TENSOR_BUDGET);
  const inferred = await infer(service, params, asked, () => tensorsOf(asked, bytes), { caller, signal });
  const messages = messagesOf(inferred.outputs, asked);
  const answer = inferred.answer(messages.outputs);
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
