/** @file A route: what is registered, checked and documented, said once. */

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { AccessLevel, Caller } from '../operation/access.ts';
import { type Part, traceUnder } from '../operation/tracing.ts';
import { HttpError } from './errors.ts';
import type { Service } from './service.ts';

/** What a route is given, checked. */
export interface Asked<Params, Query> {
  readonly params: Params;
  readonly query: Query;
  readonly body: Buffer;
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
  /** Who asks. */
  readonly caller: Caller;
  /** Aborted when the client has gone. */
  readonly signal: AbortSignal;
}

/** One route. */
export interface Route<Params = unknown, Query = unknown> {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** With parameters as `:name`. */
  readonly url: string;
  /** One line for the documentation. */
  readonly summary: string;
  /** Who may ask; who has a key by default. */
  readonly access?: AccessLevel;
  readonly params?: z.ZodType<Params>;
  readonly query?: z.ZodType<Query>;
  /** Whether it runs the model: who would wait too long is refused before the body is read. */
  readonly isComputed?: boolean;
  /** Bytes that the body may have, where that is not the server's limit. */
  readonly maxBodyBytes?: number;
  /** What the body is, by its content type: a schema of JSON, or words about bytes. */
  readonly body?: Readonly<Record<string, z.ZodType | string>>;
  /** What is answered with 200, as JSON; nothing for an empty answer. */
  readonly answer?: z.ZodType;
  /** Its content type, where that is not JSON. */
  readonly answerType?: string;
  /** Answers; undefined where it has sent the answer itself. */
  readonly handle: (asked: Asked<Params, Query>) => Promise<unknown>;
}

/** A route whose types are those of its schemas. */
export function route<Params, Query>(given: Route<Params, Query>): Route {
  return given as Route;
}

const callers = new WeakMap<FastifyRequest, Caller>();

/** Who asks; undefined for who may not. */
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
  for (const {
    method,
    url,
    params = z.unknown(),
    query = z.unknown(),
    access: level = 'user',
    maxBodyBytes,
    isComputed = false,
    handle,
  } of routes) {
    app.route({
      method,
      url,
      ...(maxBodyBytes !== undefined && { bodyLimit: maxBodyBytes }),
      // Who may not ask is told so before anything is read that it sends.
      onRequest: async (request, reply) => {
        // Probes come often, and tell nothing.
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

/**
 * A value as its schema has it.
 *
 * @throws HttpError 400 that says what is wrong where
 */
export function checked<T>(schema: z.ZodType<T>, value: unknown, what: string): T {
  const { data, error } = schema.safeParse(value);
  if (!error) return data;
  const [{ path, message }] = error.issues as [z.core.$ZodIssue];
  const where = path.length > 0 ? ` at "${path.join('.')}"` : '';
  throw new HttpError(400, 'INPUT_INVALID', `${what} is not as it should be${where}: ${message}.`);
}
