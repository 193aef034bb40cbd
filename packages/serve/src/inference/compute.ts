/** @file Turns requests into scheduler jobs, and batches of jobs into session runs. */

import { type AdapterRunOptions, type Feeds, OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import { type Part, type PartAttributes, tracedBy } from '../operation/tracing.ts';
import type { Compute, Job, Scheduler } from '../scheduler/job.ts';
import { lengthOf, padded, unpadded } from './padding.ts';
import { currentOwner } from './request.ts';
import { joinRows, splitRows } from './rows.ts';
import type { LoadedSession } from './sessions.ts';

export type Outputs = Readonly<Record<string, Tensor>>;

export interface JobTrace {
  readonly request: Part;
  /** Ends when the job enters a batch, or fails. */
  readonly waiting: Part;
}

export interface Work {
  readonly loaded: LoadedSession;
  readonly feeds: Feeds;
  readonly fetches: readonly string[];
  readonly bound: AdapterRunOptions['bound'];
  readonly trace?: JobTrace | undefined;
  /** Start by `performance.now()`. */
  readonly since?: number;
}

export type InferenceScheduler = Scheduler<Work, Outputs>;

let alone = 0;

/**
 * Submits a request of the current owner.
 * @param kind requests of different kinds are never batched, such as those with heads of different sizes
 */
export async function submit(
  scheduler: InferenceScheduler,
  work: Work,
  adapter: string | null,
  kind: string,
): Promise<Outputs> {
  const { loaded, feeds, fetches, bound } = work;
  const all = Object.entries(feeds);
  const rows = all[0]?.[1].dims[0] ?? 1;
  const isShared = loaded.takesRows && !bound?.length && rows > 0 && all.every(([, { dims }]) => dims[0] === rows);
  const length = lengthOf(feeds, fetches, loaded.padding);
  const shapes = all
    .map(([name, { type, dims }]) => `${name}:${type}:${dims.slice(length === undefined ? 1 : 2).join('x')}`)
    .sort();
  const owner = currentOwner();
  const trace = waitingJob(owner.signal, { 'onnx_lora.adapter': adapter ?? 'base', 'onnx_lora.rows': rows });
  const like = JSON.stringify([loaded.id, kind, fetches, shapes, length === undefined]);
  const job: Job<Work> = {
    ...owner,
    work: { ...work, trace, since: performance.now() },
    key: isShared ? like : `alone ${alone++}`,
    like,
    rows: isShared ? rows : 1,
    length: length ?? 0,
    bytes: all.reduce((sum, [, { data }]) => sum + data.byteLength, 0),
    adapter,
  };
  try {
    return await scheduler.submit(job);
  } catch (error) {
    trace?.waiting.end(error);
    throw error;
  }
}

/** Runs a batch with an adapter per row, padding sequences to the longest. */
export const compute: Compute<Work, Outputs> = (batch, signal) =>
  tracedBatch(
    batch.flatMap(({ work: { trace } }) => trace ?? []),
    {
      'onnx_lora.batch.requests': batch.length,
      'onnx_lora.batch.rows': batch.reduce((sum, { rows }) => sum + rows, 0),
      'onnx_lora.batch.adapters': new Set(batch.map(({ adapter }) => adapter)).size,
    },
    (computing) => computed(batch, signal, computing),
  );

async function computed(
  batch: readonly Job<Work>[],
  signal: AbortSignal,
  computing: <R>(run: () => Promise<R>) => Promise<R>,
): Promise<Outputs[]> {
  const [{ work, adapter }] = batch as readonly [Job<Work>];
  const { loaded, fetches, bound = [] } = work;
  const options = { fetches, bound, signal };
  if (batch.length === 1) return [await computing(() => loaded.session.run(work.feeds, { ...options, adapter }))];
  const longest = batch.reduce((most, { length }) => Math.max(most, length), 0);
  const feeds = joinRows(batch.map((job) => (job.length === longest ? job.work.feeds : padded(job.work.feeds, longest)))); // prettier-ignore
  const adapters = batch.flatMap((job) => Array<string | null>(job.rows).fill(job.adapter));
  const outputs = await computing(() => loaded.session.run(feeds, { ...options, adapter: adapters }));
  const parts = splitRows(outputs, batch.map(({ rows }) => rows)); // prettier-ignore
  if (parts) return parts.map((part, i) => (batch[i]!.length === longest ? part : unpadded(part, loaded.padding!, batch[i]!.length))); // prettier-ignore
  throw new OnnxLoraError('INPUT_INVALID', 'An output has no part for each row of the batch. Ask for it alone.');
}

/** Starts the span of a waiting job, if its request is traced. */
function waitingJob(signal: AbortSignal | undefined, attributes: PartAttributes): JobTrace | undefined {
  const request = tracedBy(signal);
  return request && { request, waiting: request.begin('wait', attributes) };
}

/**
 * Runs a batch as a span of each of its requests.
 * @param traces spans of the traced jobs
 * @param work receives a function that traces the model's run
 */
async function tracedBatch<T>(
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
