/** @file From a request's feeds to a job of the scheduler, and from a batch of jobs to one run of the session. */

import { type AdapterRunOptions, type Feeds, OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import type { Compute, Job, Scheduler } from '../scheduler/job.ts';
import { lengthOf, padded, unpadded } from './padding.ts';
import { currentOwner } from './request.ts';
import { joinRows, splitRows } from './rows.ts';
import type { LoadedSession } from './sessions.ts';

/** Tensors by the names of outputs. */
export type Outputs = Readonly<Record<string, Tensor>>;

/** What is run. */
export interface Work {
  readonly loaded: LoadedSession;
  readonly feeds: Feeds;
  readonly fetches: readonly string[];
  readonly bound: AdapterRunOptions['bound'];
}

/** Where requests go. */
export type InferenceScheduler = Scheduler<Work, Outputs>;

let alone = 0;

/**
 * Asks for these outputs, in the name of the current owner.
 *
 * @param kind requests of different kinds are never computed together, as those with heads of different sizes
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
  const like = JSON.stringify([loaded.id, kind, fetches, shapes, length === undefined]);
  return scheduler.submit({
    ...currentOwner(),
    work,
    key: isShared ? like : `alone ${alone++}`,
    like,
    rows: isShared ? rows : 1,
    length: length ?? 0,
    bytes: all.reduce((sum, [, { data }]) => sum + data.byteLength, 0),
    adapter,
  });
}

/** Runs a batch once, with an adapter for each row, its sequences padded to the longest. */
export const compute: Compute<Work, Outputs> = async (batch, signal) => {
  const [{ work, adapter }] = batch as readonly [Job<Work>];
  const { loaded, fetches, bound = [] } = work;
  const options = { fetches, bound, signal };
  if (batch.length === 1) return [await loaded.session.run(work.feeds, { ...options, adapter })];
  const longest = batch.reduce((most, { length }) => Math.max(most, length), 0);
  const feeds = batch.map((job) => (job.length === longest ? job.work.feeds : padded(job.work.feeds, longest)));
  const outputs = await loaded.session.run(joinRows(feeds), {
    ...options,
    adapter: batch.flatMap((job) => Array<string | null>(job.rows).fill(job.adapter)),
  });
  const parts = splitRows(outputs, batch.map(({ rows }) => rows)); // prettier-ignore
  if (parts) return parts.map((part, i) => (batch[i]!.length === longest ? part : unpadded(part, loaded.padding!, batch[i]!.length))); // prettier-ignore
  throw new OnnxLoraError('INPUT_INVALID', 'An output has no part for each row of the batch. Ask for it alone.');
};
