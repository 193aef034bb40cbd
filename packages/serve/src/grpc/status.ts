/** @file What a client of gRPC is told of a failure. */

import { Metadata, status, type StatusObject } from '@grpc/grpc-js';
import { failedAnswer } from '../http/errors.ts';

const codes: Readonly<Record<number, status>> = {
  401: status.UNAUTHENTICATED,
  403: status.PERMISSION_DENIED,
  404: status.NOT_FOUND,
  413: status.RESOURCE_EXHAUSTED,
  429: status.RESOURCE_EXHAUSTED,
  500: status.INTERNAL,
  503: status.UNAVAILABLE,
  504: status.DEADLINE_EXCEEDED,
};

/** Trailers are headers, of which clients take 8 KiB; a letter may be nine of these bytes. */
const MOST_DETAILS = 800;

/**
 * A failure as a status: the message of HTTP's answer, its code as `code`, and after how long it may be tried again as `retry-after`
 * in seconds and as `grpc-retry-pushback-ms`, which clients that retry keep to.
 */
export function statusOf(error: unknown, hidePaths: (message: string) => string): StatusObject {
  const { status: http, body, retryAfter } = failedAnswer(error, hidePaths);
  const metadata = new Metadata();
  metadata.set('code', body.code);
  if (retryAfter !== undefined) {
    metadata.set('retry-after', String(retryAfter));
    metadata.set('grpc-retry-pushback-ms', String(retryAfter * 1000));
  }
  // Half a letter cannot be sent.
  const details = Buffer.from(body.error.slice(0, MOST_DETAILS)).toString();
  return { code: codes[http] ?? status.INVALID_ARGUMENT, details, metadata };
}
