/** @file Tenant, priority and deadline of the current request, available anywhere below a predictor. */

import { AsyncLocalStorage } from 'node:async_hooks';
import { inputInvalid } from '../http/errors.ts';
import type { Caller } from '../operation/access.ts';
import type { Job } from '../scheduler/job.ts';

/** Tenant, priority, deadline and signal of a request. */
export type RequestOwner = Pick<Job, 'tenant' | 'priority' | 'deadline' | 'signal'>;

const owners = new AsyncLocalStorage<RequestOwner>();

/** Runs `use` for this owner. */
export function runAs<T>(owner: RequestOwner, use: () => Promise<T>): Promise<T> {
  return owners.run(owner, use);
}

/** The current owner; the server itself outside requests, such as during warm-up. */
export function currentOwner(): RequestOwner {
  return owners.getStore() ?? { tenant: '', priority: 9 };
}

const USUAL_PRIORITY = 5;

/**
 * Reads the owner of a request.
 * @param parameters `priority` from 0 to 9, higher first; `timeout` in microseconds, as Triton's clients send it
 * @throws OnnxLoraError `INPUT_INVALID`
 */
export function ownerOf(
  { tenant }: Caller,
  parameters: { readonly priority?: unknown; readonly timeout?: unknown },
  signal: AbortSignal,
): RequestOwner {
  const { priority = USUAL_PRIORITY, timeout } = parameters;
  if (typeof priority !== 'number' || !Number.isInteger(priority) || priority < 0 || priority > 9)
    throw inputInvalid(`The priority is ${JSON.stringify(priority)}. Give a whole number from 0 to 9.`);
  if (timeout !== undefined && !(typeof timeout === 'number' && timeout >= 0))
    throw inputInvalid(`The timeout is ${JSON.stringify(timeout)}. Give microseconds, 0 for none.`);
  const deadline = timeout ? { deadline: performance.now() + timeout / 1000 } : {};
  return { tenant, priority, signal, ...deadline };
}
