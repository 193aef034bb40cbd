/** @file Whose request is computed: known wherever its feeds are handed to a session, however deep in a task's predictor. */

import { AsyncLocalStorage } from 'node:async_hooks';
import { inputInvalid } from '../http/errors.ts';
import type { Caller } from '../operation/access.ts';
import type { Job } from '../scheduler/job.ts';

/** Who asks, and how long the answer is of use. */
export type RequestOwner = Pick<Job, 'tenant' | 'priority' | 'deadline' | 'signal'>;

const owners = new AsyncLocalStorage<RequestOwner>();

/** Calls `use` in the name of this owner. */
export function inNameOf<T>(owner: RequestOwner, use: () => Promise<T>): Promise<T> {
  return owners.run(owner, use);
}

/** Who asks for what is computed here; the server itself where nobody does, as while it warms up. */
export function currentOwner(): RequestOwner {
  return owners.getStore() ?? { tenant: '', priority: 9 };
}

/** The usual priority, between 0 and 9. */
const USUAL_PRIORITY = 5;

/**
 * The owner of a request.
 *
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
