/** @file Bounds on what clients send, and bodies read into memory within them. */

import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { IncomingMessage } from 'node:http';
import { HttpError } from './errors.ts';

/** Bounds on what clients send over HTTP and gRPC. */
export interface HttpLimits {
  /** Maximum bytes of a body; 64 MiB by default. */
  readonly maxBodyBytes?: number;
  /** Maximum bytes of an uploaded adapter, which is in memory meanwhile; 256 MiB by default. */
  readonly maxUploadBytes?: number;
  /** Maximum bytes of all bodies in memory; 1 GiB by default. */
  readonly maxBodiesBytes?: number;
  /** Milliseconds for a request to arrive; 60,000 by default. */
  readonly requestTimeout?: number;
}

export const MEGABYTE: number = 2 ** 20;
export const MAX_BODY_BYTES: number = 64 * MEGABYTE;
export const MAX_BODIES_BYTES: number = 1024 * MEGABYTE;
export const REQUEST_TIMEOUT = 60_000;

export interface BodyBudget {
  readonly most: number;
  /** Bytes in memory. */
  held: number;
}

/** @throws HttpError 429 */
export function requireRoom({ held, most }: BodyBudget): void {
  if (held > most)
    throw new HttpError(429, 'OVERLOADED', 'Too much is being sent to the server. Send it again after 1 s.', 1);
}

/**
 * Reads bodies of any content type into buffers. Bytes count when received, not announced, so that slow clients take
 * nothing from others.
 */
export function readBodies(app: FastifyInstance, budget: BodyBudget): void {
  const held = new WeakMap<FastifyRequest, number>();
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', async (request: FastifyRequest, payload: IncomingMessage) => {
    const { bodyLimit } = request.routeOptions;
    if (Number(request.headers['content-length'] ?? 0) > bodyLimit) throw tooLarge(bodyLimit);
    const pieces: Buffer[] = [];
    let size = 0;
    try {
      for await (const piece of payload.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
        size += piece.length;
        budget.held += piece.length;
        held.set(request, size);
        if (size > bodyLimit) throw tooLarge(bodyLimit);
        requireRoom(budget);
        pieces.push(piece);
      }
    } catch (error) {
      if (error instanceof HttpError) throw error;
      throw new HttpError(400, 'CANCELLED', 'The request broke off before its end. Send it again.');
    }
    return Buffer.concat(pieces, size);
  });
  app.addHook('onRequest', async (request, reply) => {
    reply.raw.once('close', () => {
      budget.held -= held.get(request) ?? 0;
      held.delete(request);
    });
  });
}

function tooLarge(limit: number): HttpError {
  return new HttpError(
    413,
    'INPUT_INVALID',
    `The body has more than the ${limit} bytes that it may. Send less at a time.`,
  );
}
