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

/** Asks for these outputs, in the name of the current owner. */
export async function submit(scheduler: InferenceScheduler, work: Work, adapter: string | null): Promise<Outputs> {
  const { loaded, feeds, fetches, bound } = work;
  const all = Object.entries(feeds);
  const rows = all[0]?.[1].dims[0] ?? 1;
  const isShared = loaded.takesRows && !bound?.length && rows > 0 && all.every(([, { dims }]) => dims[0] === rows);
  const shapes = all.map(([name, { type, dims }]) => `${name}:${type}:${dims.slice(1).join('x')}`).sort();
  const key = isShared ? JSON.stringify([loaded.id, fetches, shapes]) : `alone ${alone++}`;
  return scheduler.submit({ ...currentOwner(), work, key, rows: isShared ? rows : 1, length: 0, adapter });
}

/**
 * Runs a batch once, with an adapter for each row. Where that fails, as with heads of different sizes or an adapter that cannot be
 * loaded, the jobs of each adapter are run by themselves, and then each alone, so that none fails for another.
 */
export const compute: Compute<Work, Outputs> = async (batch, signal) => {
  try {
    return await together(batch, signal);
  } catch (error) {
    if (batch.length === 1 || signal.aborted) return batch.map(() => asError(error));
    const answers = new Map<Job<Work>, Outputs | Error>();
    for (const part of smaller(batch)) {
      const found = await compute(part, signal);
      for (const [i, job] of part.entries()) answers.set(job, found[i]!);
    }
    return batch.map((job) => answers.get(job)!);
  }
};

/** The jobs of each adapter; of one adapter each job. */
function smaller(batch: readonly Job<Work>[]): readonly (readonly Job<Work>[])[] {
  const groups = new Map<string | null, Job<Work>[]>();
  for (const job of batch) groups.set(job.adapter, [...(groups.get(job.adapter) ?? []), job]);
  return groups.size > 1 ? [...groups.values()] : batch.map((job) => [job]);
}

/** @throws what the session throws */
async function together(batch: readonly Job<Work>[], signal: AbortSignal): Promise<readonly Outputs[]> {
  const [{ work, adapter }] = batch as readonly [Job<Work>];
  const { loaded, fetches, bound = [] } = work;
  const options = { fetches, bound, signal };
  if (batch.length === 1) return [await loaded.session.run(work.feeds, { ...options, adapter })];
  const outputs = await loaded.session.run(joinRows(batch.map((job) => job.work.feeds)), {
    ...options,
    adapter: batch.flatMap((job) => Array<string | null>(job.rows).fill(job.adapter)),
  });
  const parts = splitRows(outputs, batch.map(({ rows }) => rows)); // prettier-ignore
  if (parts) return parts;
  throw new OnnxLoraError('INPUT_INVALID', 'An output has no part for each row of the batch. Ask for it alone.');
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
