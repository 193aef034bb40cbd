/** @file A job in the trace of its request: it waits, is put into a batch with others, and that is computed. */

import { type Part, type PartAttributes, tracedBy } from '../operation/tracing.ts';

/** What a job is in a trace. */
export interface JobTrace {
  readonly request: Part;
  /** Ends when it is taken into a batch, or when that does not come. */
  readonly waiting: Part;
}

/** A job that begins to wait, where the request under this signal is traced. */
export function waitingJob(signal: AbortSignal | undefined, attributes: PartAttributes): JobTrace | undefined {
  const request = tracedBy(signal);
  return request && { request, waiting: request.begin('wait', attributes) };
}

/**
 * Does the work of a batch as a part of each of its requests.
 *
 * @param traces those of its jobs that are traced
 * @param work is given what runs the model, which is a part of the batch
 */
export async function tracedBatch<T>(
  traces: readonly JobTrace[],
  attributes: PartAttributes,
  work: (computing: <R>(run: () => Promise<R>) => Promise<R>) => Promise<T>,
): Promise<T> {
  const parts = traces.map(({ request, waiting }) => {
    waiting.end();
    return request.begin('batch', attributes);
  });
  return within(parts, () => work((run) => within(parts.map((part) => part.begin('compute')), run))); // prettier-ignore
}

async function within<T>(parts: readonly Part[], work: () => Promise<T>): Promise<T> {
  try {
    const done = await work();
    for (const part of parts) part.end();
    return done;
  } catch (error) {
    for (const part of parts) part.end(error);
    throw error;
  }
}
