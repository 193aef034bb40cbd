/** @file Whose request is computed: known wherever its feeds are handed to a session, however deep in a task's predictor. */

import { AsyncLocalStorage } from 'node:async_hooks';
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
