/** @file What every call of gRPC passes before it is read and after it is answered: keys, bounds, and numbers. */

import { type Metadata, type ServerInterceptor, ServerInterceptingCall, status } from '@grpc/grpc-js';
import { type BodyBudget, requireRoom } from '../http/bodies.ts';
import { HttpError } from '../http/errors.ts';
import type { Service } from '../http/service.ts';
import type { AccessLevel, Caller } from '../operation/access.ts';
import { statusOf } from './status.ts';

/** Where calls come in. */
export interface Door {
  readonly interceptor: ServerInterceptor;
  /** Who calls, known by the metadata of the call. */
  callerOf(metadata: Metadata): Caller;
}

const levels: Readonly<Record<string, AccessLevel>> = {
  ServerLive: 'open',
  ServerReady: 'open',
  ServerMetadata: 'open',
  RepositoryModelLoad: 'admin',
  RepositoryModelUnload: 'admin',
};

/**
 * Who may not call is told so before anything is read that it sends; so is who sends for too long, and who sends what there is no
 * room for.
 *
 * @param timeout milliseconds in which a request must have come
 */
export function doorOf({ access, metrics, log, hidePaths }: Service, bodies: BodyBudget, timeout: number): Door {
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
    /** Goes on, unless this fails. */
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

function headersOf(metadata: Metadata): Record<'authorization' | 'x-api-key', string | undefined> {
  const first = (name: string): string | undefined => metadata.get(name)[0]?.toString();
  return { authorization: first('authorization'), 'x-api-key': first('x-api-key') };
}

function late(timeout: number): HttpError {
  return new HttpError(504, 'CANCELLED', `The request has not come within ${timeout} ms. Send it again.`);
}
