/** @file Routes: registered, checked and documented from one definition. */

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { AccessLevel, Caller } from '../operation/access.ts';
import { type Part, traceUnder } from '../operation/tracing.ts';
import { HttpError } from './errors.ts';
import type { Service } from './service.ts';

export interface RouteRequest<Params, Query> {
  readonly params: Params;
  readonly query: Query;
  readonly body: Buffer;
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
  readonly caller: Caller;
  /** Aborted when the client disconnects. */
  readonly signal: AbortSignal;
}

export interface Route<Params = unknown, Query = unknown> {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  readonly url: string;
  readonly summary: string;
  /** Required access; any key by default. */
  readonly access?: AccessLevel;
  readonly params?: z.ZodType<Params>;
  readonly query?: z.ZodType<Query>;
  /** Whether it runs the model; then an overload is refused before the body is read. */
  readonly isComputed?: boolean;
  /** Maximum bytes of the body, if not the server's. */
  readonly maxBodyBytes?: number;
  /** Bodies by content type: a JSON schema, or a description of bytes. */
  readonly body?: Readonly<Record<string, z.ZodType | string>>;
  /** Schema of the 200 answer; absent for an empty one. */
  readonly answer?: z.ZodType;
  /** Content type of the answer; JSON by default. */
  readonly answerType?: string;
  /** Returns the answer; undefined if it was sent already. */
  readonly handle: (asked: RouteRequest<Params, Query>) => Promise<unknown>;
}

/** Infers a route's types from its schemas. */
export function route<Params, Query>(given: Route<Params, Query>): Route {
  return given as Route;
}

const callers = new WeakMap<FastifyRequest, Caller>();

/** The caller of a request; undefined without access. */
export function callerOf(request: FastifyRequest): Caller | undefined {
  return callers.get(request);
}

/** Registers routes. */
export function addRoutes(
  app: FastifyInstance,
  routes: readonly Route[],
  { access, scheduler, tracing }: Pick<Service, 'access' | 'scheduler' | 'tracing'>,
): void {
  const traces = new WeakMap<FastifyRequest, Part>();
  const endTrace = (request: FastifyRequest, status: number | undefined): void => {
    const trace = traces.get(request);
    trace?.tell({ 'http.response.status_code': status });
    trace?.end(status === undefined || status >= 500 ? { code: status ?? 'GONE' } : undefined);
  };
  for (const { method, url, access: level = 'user', maxBodyBytes, isComputed = false, handle, ...schemas } of routes) {
    const { params = z.unknown(), query = z.unknown() } = schemas;
    app.route({
      method,
      url,
      ...(maxBodyBytes !== undefined && { bodyLimit: maxBodyBytes }),
      // Access is checked before the body is read.
      onRequest: async (request, reply) => {
        // Open routes, such as probes, are not traced.
        if (tracing && level !== 'open') {
          const attributes = { 'http.request.method': method, 'http.route': url };
          traces.set(request, tracing.request(`${method} ${url}`, request.headers, attributes));
          reply.raw.once('close', () => endTrace(request, reply.raw.writableFinished ? reply.statusCode : undefined));
        }
        const caller = access.caller(request.headers, level);
        callers.set(request, caller);
        if (isComputed) scheduler.requireRoom(caller.tenant);
      },
      handler: async (request, reply) => {
        const gone = new AbortController();
        reply.raw.once('close', () => {
          if (!reply.raw.writableFinished) gone.abort();
        });
        traceUnder(gone.signal, traces.get(request));
        const answer = await handle({
          params: checked(params, request.params, 'The address'),
          query: checked(query, request.query, 'The query'),
          body: Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0),
          request,
          reply,
          caller: callers.get(request)!,
          signal: gone.signal,
        });
        return reply.sent ? reply : answer;
      },
    });
  }
}

/** Checks a value by its schema. @throws HttpError 400 */
export function checked<T>(schema: z.ZodType<T>, value: unknown, what: string): T {
  const { data, error } = schema.safeParse(value);
  if (!error) return data;
  const [{ path, message }] = error.issues as [z.core.$ZodIssue];
  const where = path.length > 0 ? ` at "${path.join('.')}"` : '';
  throw new HttpError(400, 'INPUT_INVALID', `${what} is not as it should be${where}: ${message}.`);
}
