/** @file The HTTP server, with what all routes share. */

import fastify, { type FastifyInstance } from 'fastify';
import { aboutRoutes } from './admin/about.ts';
import { adminRoutes } from './admin/adapters.ts';
import { type BodyBudget, type HttpLimits, MAX_BODY_BYTES, MEGABYTE, readBodies, REQUEST_TIMEOUT } from './bodies.ts';
import type { Certificate } from '../operation/tls.ts';
import { failedAnswer, HttpError } from './errors.ts';
import { repositoryRoutes } from './v2/triton.ts';
import { openAiError } from '../openai/parameters.ts';
import { addRoutes, callerOf, type Route } from './routes.ts';
import { predictRoutes } from './predict/routes.ts';
import type { Service } from './service.ts';
import { statusRoutes } from './status/routes.ts';
import { openAiRoutes } from '../openai/routes.ts';
import { v2Routes } from './v2/routes.ts';

/** Maximum length of `model:adapter`, percent-encoded. */
const MAX_PARAM = 1000;

/** Creates the server with all routes; it does not listen yet. */
export function httpApp(
  service: Service,
  tls: Certificate | undefined,
  bodies: BodyBudget,
  {
    maxBodyBytes = MAX_BODY_BYTES,
    maxUploadBytes = 256 * MEGABYTE,
    requestTimeout = REQUEST_TIMEOUT,
  }: Omit<HttpLimits, 'maxBodiesBytes'>,
): FastifyInstance {
  const options = {
    bodyLimit: maxBodyBytes,
    requestTimeout,
    keepAliveTimeout: 60_000,
    routerOptions: { maxParamLength: MAX_PARAM },
    forceCloseConnections: 'idle',
    // Routes check their input themselves; fastify's compilers need not load.
    schemaController: { compilersFactory: { buildValidator: noCompiler, buildSerializer: noCompiler } },
  } as const;
  // How often Node checks for timeouts.
  const connectionsCheckingInterval = Math.min(30_000, Math.ceil(requestTimeout / 4));
  const wire = { connectionsCheckingInterval, headersTimeout: requestTimeout };
  const app = tls
    ? (fastify({ ...options, https: { ...wire, ...tls } }) as unknown as FastifyInstance)
    : fastify({ ...options, http: wire });
  readBodies(app, bodies);
  app.setErrorHandler(async (error, { url }, reply) => {
    const { status, body, retryAfter } = failedAnswer(error, service.hidePaths);
    if (status === 500) service.log.failed(error);
    if (retryAfter !== undefined) reply.header('retry-after', retryAfter);
    return reply.code(status).send(url.startsWith('/v1') ? openAiError(status, body) : body);
  });
  app.setNotFoundHandler(async ({ method, url }) => {
    throw notThere(routes, method, url);
  });
  // An open connection would keep the server from stopping.
  app.addHook('onSend', async (_, reply) => {
    if (!service.isReady()) reply.header('connection', 'close');
  });
  app.addHook('onResponse', async (request, { statusCode, elapsedTime }) => {
    const { method, routeOptions } = request;
    const answered = { method, route: routeOptions.url ?? 'none', status: statusCode, seconds: elapsedTime / 1000 };
    const tenant = callerOf(request)?.tenant ?? '';
    service.metrics.answered(answered, tenant);
    service.log.answered(answered, tenant);
  });
  const routes = [
    ...v2Routes(service),
    ...repositoryRoutes(service),
    ...predictRoutes(service),
    ...openAiRoutes(service),
    ...adminRoutes(service, maxUploadBytes),
    ...statusRoutes(service),
  ];
  addRoutes(app, [...routes, ...aboutRoutes(service, routes)], service);
  return app;
}

/** The error for an unknown URL: 405 with its methods, or 404. */
function notThere(routes: readonly Route[], method: string, url: string): HttpError {
  const [address] = url.split('?') as [string];
  const like = (route: string): RegExp => new RegExp(`^${route.replaceAll(/:\w+/g, '[^/]+')}$`);
  const others = routes.filter((each) => like(each.url).test(address)).map((each) => each.method);
  const asked = `${method} ${address.slice(0, 200)}`;
  return others.length > 0
    ? new HttpError(405, 'HTTP', `There is no ${asked}, but ${others.join(' and ')}. Ask by that.`)
    : new HttpError(404, 'HTTP', `There is no ${asked}. GET /openapi.json lists all routes.`);
}

function noCompiler(): never {
  throw new Error('Routes have no schemas for fastify.');
}
