/** @file Tests of batches, waits and refusals, on a clock that the tests move. */

import { getEventListeners } from 'node:events';
import { expect, test } from 'vitest';
import { ManualClock } from '../../fixtures/manualClock.ts';
import type { Job } from './job.ts';
import type { BatchReport, SchedulerOptions } from './options.ts';
import { OverloadedError } from './overloaded.ts';
import { type BatchScheduler, createScheduler } from './scheduler.ts';

type Work = string;

/** A worker whose batches take `fixed` milliseconds and `each` more for every row, and answers with the work in capitals. */
function worker(options: SchedulerOptions = {}, { fixed = 10, each = 0 } = {}) {
  const clock = new ManualClock();
  const batches: string[] = [];
  const reports: BatchReport[] = [];
  const refused: string[] = [];
  let stopped = 0;
  const scheduler = createScheduler<Work, string>(
    async (batch, signal) => {
      const works = batch.map(({ work }) => work);
      batches.push(works.join(' '));
      signal.addEventListener('abort', () => stopped++);
      if (works.includes('poison')) throw new Error('poisoned');
      await clock.sleep(fixed + each * batch.reduce((sum, { rows }) => sum + rows, 0));
      return works.map((work) => (work === 'bad' ? new Error('bad') : work.toUpperCase()));
    },
    {
      clock,
      observer: { batch: (report) => reports.push(report), refused: (reason) => refused.push(reason) },
      ...options,
    },
  );
  return { clock, scheduler, batches, reports, refused, stopped: () => stopped };
}

const job = (work: Work, more: Partial<Job<Work>> = {}): Job<Work> => {
  return { work, key: 'k', rows: 1, length: 0, adapter: null, tenant: 't', priority: 0, ...more };
};

/** Outcome of a request: its answer, or the code or message of its error. */
const outcome = async (asked: Promise<string>): Promise<string> => {
  try {
    return await asked;
  } catch (error) {
    return (error as { code?: string }).code ?? (error as Error).message;
  }
};
const ask = (scheduler: BatchScheduler<Work, string>, work: Work, more?: Partial<Job<Work>>): Promise<string> =>
  outcome(scheduler.submit(job(work, more)));

test('who comes alone waits for nothing, and who comes meanwhile shares the next batch', async () => {
  const { clock, scheduler, batches, reports } = worker();
  const answers = [ask(scheduler, 'a')];
  await clock.pass(0);
  expect(batches).toEqual(['a']);
  for (const each of ['b', 'bad', 'd']) answers.push(ask(scheduler, each, { adapter: each }));
  await clock.pass(9);
  expect(batches).toHaveLength(1);
  await clock.pass(11);
  expect(batches).toEqual(['a', 'b bad d']);
  expect(await Promise.all(answers)).toEqual(['A', 'B', 'bad', 'D']);
  expect(reports.map(({ waited, computed, adapters }) => ({ waited, computed, adapters }))).toEqual([
    { waited: [0], computed: 10, adapters: 1 },
    { waited: [10, 10, 10], computed: 10, adapters: 3 },
  ]);
});

test('batches are of one key, of bounded rows, padding, cells and adapters', async () => {
  const order = async (options: SchedulerOptions, jobs: readonly Partial<Job<Work>>[]): Promise<string[]> => {
    const { clock, scheduler, batches } = worker(options);
    const all = jobs.map((each, i) => ask(scheduler, String(i), each));
    await clock.pass(1000);
    await Promise.all(all);
    return batches;
  };
  expect(await order({}, [{}, { key: 'other' }, {}, { key: 'other' }])).toEqual(['0 2', '1 3']);
  expect(await order({ maxRows: 3 }, [{ rows: 2 }, { rows: 2 }, {}, { rows: 5 }])).toEqual(['0 2', '1', '3']);
  const lengths = [100, 10, 80, 12, 60, 9].map((length) => ({ length }));
  // (100 + 80) of 200 are 10% padding, with 60 of 300 they would be 20%.
  expect(await order({ maxPadding: 0.19 }, lengths)).toEqual(['0 2', '1 3 5', '4']);
  expect(await order({ maxPadding: 0.2 }, lengths)).toEqual(['0 2 4', '1 3 5']);
  expect(await order({ maxCells: 199, maxPadding: 1 }, lengths)).toEqual(['0', '1 2', '3 4 5']);
  const adapters = ['x', 'y', 'z', 'x', 'y'].map((adapter) => ({ adapter }));
  expect(await order({ maxAdapters: 1 }, adapters)).toEqual(['0 3', '1 4', '2']);
  expect(await order({ maxAdapters: 2 }, adapters)).toEqual(['0 1 3 4', '2']);
});

test('several batches at a time, where that is wanted', async () => {
  const { clock, scheduler, batches } = worker({ concurrency: 2, maxRows: 1 });
  const all = ['a', 'b', 'c'].map((each) => ask(scheduler, each));
  await clock.pass(1);
  expect(batches).toEqual(['a', 'b']);
  expect(scheduler.computing).toBe(2);
  await clock.pass(30);
  expect(await Promise.all(all)).toEqual(['A', 'B', 'C']);
});

test('who has gone is not computed, and a batch that nobody waits for is told so', async () => {
  const { clock, scheduler, batches, stopped } = worker();
  const clients = [0, 1, 2, 3].map(() => new AbortController());
  const answers = clients.map(({ signal }, i) => ask(scheduler, String(i), { signal, key: i < 2 ? 'first' : 'then' }));
  await clock.pass(1);
  clients[2]!.abort();
  expect(await answers[2]).toBe('CANCELLED');
  expect(scheduler.waiting.jobs).toBe(1);
  clients[0]!.abort();
  expect(await answers[0]).toBe('CANCELLED');
  expect(stopped()).toBe(0);
  clients[1]!.abort();
  expect(stopped()).toBe(1);
  await clock.pass(100);
  expect(batches).toEqual(['0 1', '3']);
  expect(await answers[3]).toBe('3');
  expect(getEventListeners(clients[3]!.signal, 'abort')).toEqual([]);
  clients[3]!.abort();
  expect(await ask(scheduler, 'late', { signal: clients[3]!.signal })).toBe('CANCELLED');
});

test('a deadline ends the wait, in the queue and in a batch', async () => {
  const { clock, scheduler, batches } = worker();
  const inBatch = scheduler.submit(job('a', { deadline: 5 }));
  await clock.pass(1);
  const inQueue = scheduler.submit(job('b', { deadline: 8 }));
  const inTime = ask(scheduler, 'c', { deadline: 21 });
  const all = Promise.allSettled([inBatch, inQueue]);
  await clock.pass(7);
  for (const each of await all) {
    expect(each).toMatchObject({ reason: { code: 'CANCELLED', cause: { name: 'TimeoutError' } } });
  }
  await clock.pass(20);
  expect(batches).toEqual(['a', 'c']);
  expect(await inTime).toBe('C');
  expect(await ask(scheduler, 'd', { deadline: 28 })).toBe('CANCELLED');
});

test('what fails a batch fails those alone that bring it', async () => {
  const { clock, scheduler, batches, reports } = worker();
  const all = ['a', 'b', 'poison', 'd'].map((each) => ask(scheduler, each));
  await clock.pass(100);
  expect(await Promise.all(all)).toEqual(['A', 'B', 'poisoned', 'D']);
  expect(batches).toEqual(['a b poison d', 'a b', 'poison d', 'poison', 'd']);
  expect(reports).toMatchObject([{ jobs: 4, isWhole: false }]);
});

test('answers that are not as many as the requests are an error for each', async () => {
  const scheduler = createScheduler<Work, string>(async () => ['one', 'too many']);
  await expect(scheduler.submit(job('a'))).rejects.toMatchObject({ code: 'RUNTIME_FAILED' });
});

test('a tenant fills what the others leave free, and there is room for those', async () => {
  const { clock, scheduler, refused } = worker({ maxWaitingRows: 8 });
  const running = ask(scheduler, 'running');
  await clock.pass(0);
  const flood = Array.from({ length: 6 }, (_, i) => ask(scheduler, `a${i}`));
  const other = [ask(scheduler, 'b', { tenant: 'b', rows: 2 }), ask(scheduler, 'b', { tenant: 'b' })];
  expect(() => scheduler.requireRoom('t')).toThrow(OverloadedError);
  expect(() => scheduler.requireRoom('c')).not.toThrow();
  await clock.pass(100);
  expect(() => scheduler.requireRoom('t')).not.toThrow();
  expect(await Promise.all(flood)).toEqual(['A0', 'A1', 'A2', 'A3', 'OVERLOADED', 'OVERLOADED']);
  expect(await Promise.all([running, ...other])).toEqual(['RUNNING', 'B', 'OVERLOADED']);
  expect(refused).toEqual(['queue', 'queue', 'queue', 'queue']);
  // However large, it is taken where nothing else waits.
  const large = ask(scheduler, 'large', { rows: 100 });
  await clock.pass(100);
  expect(await large).toBe('LARGE');
});

test('bytes that wait are bounded, too', async () => {
  const { clock, scheduler } = worker({ maxWaitingBytes: 100 });
  const all = [30, 41, 20].map((bytes) => ask(scheduler, 'a', { bytes }));
  await clock.pass(100);
  expect(await Promise.all(all)).toEqual(['A', 'OVERLOADED', 'A']);
});

test('by measured times it is known what cannot come in time, and when to try again', async () => {
  const { clock, scheduler } = worker({ maxRows: 1, maxWait: 6000 }, { fixed: 0, each: 2000 });
  for (let i = 0; i < 2; i++) {
    const measured = ask(scheduler, 'a');
    await clock.pass(2000);
    await measured;
  }
  const waiting = [ask(scheduler, 'b'), ask(scheduler, 'b')];
  await clock.pass(500);
  // 1.5 s of the one that computes, and 2 s.
  expect(scheduler.wait('t')).toBe(3500);
  // Another tenant has its turn first.
  expect(scheduler.wait('other')).toBe(1500);
  const now = clock.now();
  const refused = await scheduler.submit(job('c', { deadline: now + 3400 })).catch((error: unknown) => error);
  expect(refused).toBeInstanceOf(OverloadedError);
  expect(refused).toMatchObject({ code: 'OVERLOADED', reason: 'deadline', retryAfter: 4 });
  waiting.push(ask(scheduler, 'c', { deadline: now + 5600 }), ask(scheduler, 'd'));
  expect(scheduler.wait('t')).toBe(7500);
  await expect(scheduler.submit(job('e'))).rejects.toMatchObject({ reason: 'wait', retryAfter: 8 });
  await clock.pass(10_000);
  expect(await Promise.all(waiting)).toEqual(['B', 'B', 'C', 'D']);
});

test('requests that are computed alone are known by what they are like', async () => {
  const { clock, scheduler } = worker({}, { fixed: 0, each: 3000 });
  let alone = 0;
  const next = (): Promise<string> => ask(scheduler, 'a', { key: `alone ${alone++}`, like: 'alone' });
  for (let i = 0; i < 2; i++) {
    const measured = next();
    await clock.pass(3000);
    await measured;
  }
  const all = [next(), next()];
  expect(scheduler.wait('t')).toBe(6000);
  await clock.pass(6000);
  await Promise.all(all);
});

test('draining takes no more, and ends with the last answer', async () => {
  const { clock, scheduler, batches } = worker({ maxRows: 1 });
  const all = [ask(scheduler, 'a'), ask(scheduler, 'b')];
  await clock.pass(1);
  let isDrained = false;
  const drained = scheduler.drain().then(() => (isDrained = true));
  await expect(scheduler.submit(job('c'))).rejects.toMatchObject({ reason: 'draining' });
  await clock.pass(18);
  expect(isDrained).toBe(false);
  await clock.pass(2);
  await drained;
  expect(await Promise.all(all)).toEqual(['A', 'B']);
  expect(batches).toEqual(['a', 'b']);
  await scheduler.drain();
});

test('draining that takes too long is ended, and nobody is left without an answer', async () => {
  const { clock, scheduler, stopped } = worker({ maxRows: 1 });
  const all = [ask(scheduler, 'a'), ask(scheduler, 'b')];
  await clock.pass(1);
  const enough = new AbortController();
  const drained = scheduler.drain(enough.signal);
  enough.abort();
  expect(await Promise.all(all)).toEqual(['CANCELLED', 'CANCELLED']);
  expect(stopped()).toBe(1);
  await clock.pass(10);
  await drained;
});

test('batches grow where that saves time, and stay small where it makes requests wait alone', async () => {
  const rowsAfterLearning = async (fixed: number, each: number): Promise<number> => {
    const { clock, scheduler, reports } = worker({ maxRows: 16 }, { fixed, each });
    for (let i = 0; i < 30; i++) {
      for (let j = 0; j <= i % 4; j++) void scheduler.submit(job('a'));
      await clock.pass(1000);
    }
    for (let j = 0; j < 100; j++) void scheduler.submit(job('a'));
    reports.length = 0;
    await clock.pass(10_000);
    expect(reports.reduce((sum, { rows }) => sum + rows, 0)).toBe(100);
    // Once in a while a larger one tries whether it is still so.
    const sizes = reports.map(({ rows }) => rows).toSorted((a, b) => a - b);
    return sizes[Math.floor(sizes.length / 2)]!;
  };
  expect(await rowsAfterLearning(0.5, 50)).toBe(1);
  // Up to where the fixed part is a tenth of the rest: 10 · 2 / 5 rows.
  expect(await rowsAfterLearning(2, 5)).toBe(4);
  expect(await rowsAfterLearning(20, 1)).toBe(16);
});

test('a tenant with a hundred times its share takes hardly anything from the others', async () => {
  const waits = async (flood: number): Promise<number> => {
    const { clock, scheduler } = worker({ maxRows: 8 }, { fixed: 2, each: 1 });
    const waited: number[] = [];
    for (let i = 0; i < 200; i++) {
      for (let j = 0; j < flood; j++) void ask(scheduler, 'x', { tenant: 'flood' });
      const start = clock.now();
      void scheduler.submit(job('a', { tenant: 'calm' })).then(() => waited.push(clock.now() - start));
      await clock.pass(10);
    }
    return waited.toSorted((a, b) => a - b)[Math.floor(waited.length * 0.99)]!;
  };
  // Alone it takes 3 ms; beside others the batch that computes must end first, and its own has eight rows: at most 2 · 10 ms.
  expect(await waits(0)).toBe(3);
  expect(await waits(100)).toBeLessThanOrEqual(20);
});
