/** @file From a request's feeds to a job of the scheduler, and from a batch of jobs to one run of the session. */

import { type AdapterRunOptions, type Feeds, OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import type { Compute, Job, Scheduler } from '../scheduler/job.ts';
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
  const isPadded = fetches.every((name) => loaded.padded?.has(name)) && all.every(([, { dims }]) => dims.length === 2);
  const fixed = isPadded ? 2 : 1;
  const shapes = all
    .map(([name, { type, dims }]) => `${name}:${type}:${dims.length}:${dims.slice(fixed).join('x')}`)
    .sort();
  return scheduler.submit({
    ...currentOwner(),
    work,
    key: isShared ? JSON.stringify([loaded.id, kind, fetches, shapes]) : `alone ${alone++}`,
    rows: isShared ? rows : 1,
    length: isShared && isPadded ? lengthOf(feeds) : 0,
    bytes: all.reduce((sum, [, { data }]) => sum + data.byteLength, 0),
    adapter,
  });
}

/** Positions of rows `[rows, positions]`. */
function lengthOf(feeds: Feeds): number {
  return Math.max(...Object.values(feeds).map(({ dims }) => dims[1]!));
}

/** Runs a batch once, with an adapter for each row. */
export const compute: Compute<Work, Outputs> = async (batch, signal) => {
  const [{ work, adapter }] = batch as readonly [Job<Work>];
  const { loaded, fetches, bound = [] } = work;
  const options = { fetches, bound, signal };
  if (batch.length === 1) return [await loaded.session.run(work.feeds, { ...options, adapter })];
  const lengths = batch.map(({ length }) => length);
  const isPadded = lengths.some((length) => length !== lengths[0]);
  const joined = joinRows(batch.map((job) => job.work.feeds), isPadded ? Math.max(...lengths) : undefined); // prettier-ignore
  const outputs = await loaded.session.run(joined, {
    ...options,
    adapter: batch.flatMap((job) => Array<string | null>(job.rows).fill(job.adapter)),
  });
  const perPosition = new Set(fetches.filter((name) => loaded.padded?.get(name)?.perPosition));
  const portions = batch.map(({ rows, length }) => (isPadded ? { rows, length } : { rows }));
  const parts = splitRows(outputs, portions, perPosition);
  if (parts) return parts;
  throw new OnnxLoraError('INPUT_INVALID', 'An output has no part for each row of the batch. Ask for it alone.');
};
