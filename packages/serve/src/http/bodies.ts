/** @file Bodies of requests, read into memory: each bounded, and all of them together. */

import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { IncomingMessage } from 'node:http';
import { HttpError } from './errors.ts';

/**
 * Reads bodies of whatever content type into a buffer. Bytes count from when they come until the request has ended, so that slow
 * clients who announce much take nothing from others.
 *
 * @param most bytes of all bodies that are in memory
 */
export function readBodies(app: FastifyInstance, most: number): void {
  const held = new WeakMap<FastifyRequest, number>();
  let all = 0;
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', async (request: FastifyRequest, payload: IncomingMessage) => {
    const { bodyLimit } = request.routeOptions;
    if (Number(request.headers['content-length'] ?? 0) > bodyLimit) throw tooLarge(bodyLimit);
    const pieces: Buffer[] = [];
    let size = 0;
    try {
      for await (const piece of payload.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
        size += piece.length;
        all += piece.length;
        held.set(request, size);
        if (size > bodyLimit) throw tooLarge(bodyLimit);
        if (all > most) throw new HttpError(429, 'OVERLOADED', 'Too much is being sent to the server. Send it again after 1 s.', 1); // prettier-ignore
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
      all -= held.get(request) ?? 0;
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
