/** @file The Open Inference Protocol v2, as Triton's and KServe's clients speak it. */

import { z } from 'zod';
import { HEADER_LENGTH } from '../../client/tensors.ts';
import { messagesOf, tensorsOf, splitBinaryBody } from './binary.ts';
import { infer, metadataOf, requireReady, serverMetadata } from './infer.ts';
import { jsonBody, TENSOR_BUDGET } from '../json.ts';
import { type RouteRequest, type Route, route } from '../routes.ts';
import { inferRequest, inferResponse, modelMetadata } from './schemas.ts';
import { withAdapter, type Service } from '../service.ts';
import { configOf, statisticsOf } from './triton.ts';

const model = z.object({ model: z.string().describe('the base, or "base:adapter"') });
const versioned = model.extend({ version: z.string().optional() });
type Params = z.infer<typeof versioned>;
type Handle = (asked: RouteRequest<Params, unknown>) => Promise<unknown>;

/** The protocol's routes. */
export function v2Routes(service: Service): Route[] {
  const open = (url: string, summary: string, answer: z.ZodType, handle: () => unknown): Route =>
    route({ method: 'GET', url, access: 'open', summary, answer, handle: async () => handle() });
  const flag = z.boolean();
  const triton = z.record(z.string(), z.unknown());
  const bodies = {
    'application/json': inferRequest,
    'application/octet-stream': `JSON, as long as ${HEADER_LENGTH} says, and the bytes of tensors behind it`,
  };
  const modelRoutes = (url: string): Route[] => {
    const get = (path: string, summary: string, answer: z.ZodType, handle: Handle): Route =>
      route({ method: 'GET', url: `${url}${path}`, summary, params: versioned, answer, handle });
    return [
      get('', 'inputs and outputs of a model', modelMetadata, ({ params, caller }) =>
        metadataOf(service, params, caller),
      ),
      get(
        '/ready',
        'whether a model takes requests',
        z.object({ name: z.string(), ready: flag }),
        async ({ params, caller }) => {
          requireReady(service);
          await withAdapter(service, params, caller);
          return { name: params.model, ready: true };
        },
      ),
      get('/config', 'how a model is configured, as Triton tells it', triton, ({ params, caller }) =>
        configOf(service, params, caller),
      ),
      get('/stats', 'what a model has computed, as Triton tells it', triton, ({ params, caller }) =>
        statisticsOf(service, params, caller),
      ),
      route({
        method: 'POST',
        url: `${url}/infer`,
        summary: 'run a model on tensors',
        params: versioned,
        body: bodies,
        answer: inferResponse,
        isComputed: true,
        handle: (asked) => answered(service, asked),
      }),
    ];
  };
  return [
    open('/v2/health/live', 'whether the server runs', z.object({ live: flag }), () => ({ live: true })),
    open('/v2/health/ready', 'whether it takes requests', z.object({ ready: flag }), () => {
      requireReady(service);
      return { ready: true };
    }),
    open(
      '/v2',
      'what the server is',
      z.object({ name: z.string(), version: z.string(), extensions: z.array(z.string()) }),
      () => serverMetadata(service),
    ),
    route({
      method: 'GET',
      url: '/v2/models/stats',
      summary: 'what all models have computed, as Triton tells it',
      answer: triton,
      handle: ({ caller }) => statisticsOf(service, {}, caller),
    }),
    ...modelRoutes('/v2/models/:model'),
    ...modelRoutes('/v2/models/:model/versions/:version'),
  ];
}

async function answered(
  service: Service,
  { params, body, request, reply, caller, signal }: RouteRequest<Params, unknown>,
): Promise<unknown> {
  const { json, bytes } = splitBinaryBody(body, headerOf(request.headers[HEADER_LENGTH]));
  const asked = await jsonBody(inferRequest, json, TENSOR_BUDGET);
  const inferred = await infer(service, params, asked, () => tensorsOf(asked, bytes), { caller, signal });
  const messages = messagesOf(inferred.outputs, asked);
  const answer = { ...inferred.answer, outputs: messages.outputs };
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
