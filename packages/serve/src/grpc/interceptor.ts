/** @file The interceptor of every gRPC call: keys, bounds, metrics; and error statuses. */

import { Metadata, type ServerInterceptor, ServerInterceptingCall, status, type StatusObject } from '@grpc/grpc-js';
import { type BodyBudget, requireRoom } from '../http/bodies.ts';
import { failedAnswer, HttpError } from '../http/errors.ts';
import type { Service } from '../http/service.ts';
import type { AccessLevel, Caller } from '../operation/access.ts';

export interface Interceptor {
  readonly interceptor: ServerInterceptor;
  callerOf(metadata: Metadata): Caller;
}

const levels: Readonly<Record<string, AccessLevel>> = {
  ServerLive: 'open',
  ServerReady: 'open',
  ServerMetadata: 'open',
  RepositoryModelLoad: 'admin',
  RepositoryModelUnload: 'admin',
};

/** Refuses callers without access before reading, and requests that take longer than `timeout` ms or lack room. */
export function interceptorOf(
  { access, metrics, log, hidePaths }: Service,
  bodies: BodyBudget,
  timeout: number,
): Interceptor {
  const callers = new WeakMap<Metadata, Caller>();
  const interceptor: ServerInterceptor = ({ path: route }, call) => {
    const start = performance.now();
    let tenant = '';
    let held = 0;
    let hasEnded = false;
    let timer: NodeJS.Timeout | undefined;
    const end = (code: status): void => {
      if (hasEnded) return;
      hasEnded = true;
      clearTimeout(timer);
      bodies.held -= held;
      const answered = { method: 'gRPC', route, status: code, seconds: (performance.now() - start) / 1000 };
      metrics.answered(answered, tenant);
      log.answered(answered, tenant);
    };
    const refuse = (error: unknown): void => {
      const refusal = statusOf(error, hidePaths);
      if (hasEnded) return;
      call.sendStatus(refusal);
      end(refusal.code);
    };
    /** Continues unless the check throws. */
    const unlessRefused = (check: () => void, next: () => void): void => {
      if (hasEnded) return;
      try {
        check();
      } catch (error) {
        refuse(error);
        return;
      }
      next();
    };
    return new ServerInterceptingCall(call, {
      start: (next) =>
        next({
          onReceiveMetadata: (metadata, go) =>
            unlessRefused(
              () => {
                const caller = access.caller(headersOf(metadata), levels[route.split('/').at(-1)!] ?? 'user');
                callers.set(metadata, caller);
                tenant = caller.tenant;
                timer = setTimeout(() => refuse(late(timeout)), timeout);
              },
              () => go(metadata),
            ),
          onReceiveMessage: (message: Buffer, go) =>
            unlessRefused(
              () => {
                held += message.length;
                bodies.held += message.length;
                requireRoom(bodies);
              },
              () => go(message),
            ),
          onReceiveHalfClose: (go) => {
            clearTimeout(timer);
            if (!hasEnded) go();
          },
          onCancel: () => end(status.CANCELLED),
        }),
      sendStatus: (given, next) => {
        end(given.code ?? status.UNKNOWN);
        next(given);
      },
    });
  };
  return { interceptor, callerOf: (metadata) => callers.get(metadata)! };
}

/** The first value of each header. */
export function headersOf(metadata: Metadata): Record<string, string> {
  return Object.fromEntries(Object.entries(metadata.getMap()).map(([name, value]) => [name, String(value)]));
}

function late(timeout: number): HttpError {
  return new HttpError(504, 'CANCELLED', `The request has not come within ${timeout} ms. Send it again.`);
}

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

/** Clients accept 8 KiB of trailers, and a character may take nine bytes. */
const MOST_DETAILS = 800;

/**
 * Converts an error to a status: HTTP's message, its code as `code`, and the delay before a retry as `retry-after` in
 * seconds and `grpc-retry-pushback-ms`, which clients obey.
 */
export function statusOf(error: unknown, hidePaths: (message: string) => string): StatusObject {
  const { status: http, body, retryAfter } = failedAnswer(error, hidePaths);
  const metadata = new Metadata();
  metadata.set('code', body.code);
  if (retryAfter !== undefined) {
    metadata.set('retry-after', String(retryAfter));
    metadata.set('grpc-retry-pushback-ms', String(retryAfter * 1000));
  }
  // A split surrogate pair cannot be sent.
  const details = Buffer.from(body.error.slice(0, MOST_DETAILS)).toString();
  return { code: codes[http] ?? status.INVALID_ARGUMENT, details, metadata };
}
