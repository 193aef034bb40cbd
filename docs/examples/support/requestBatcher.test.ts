/** @file Tests of the batching of requests: what is answered together, and what fails alone. */

import { setImmediate } from 'node:timers/promises';
import { float32 } from '@onnx-lora/sdk';
import { expect, test } from 'vitest';
import { RequestBatcher, type Row } from './requestBatcher.ts';

const row = (adapter: string, signal = new AbortController().signal): Row => ({
  image: float32([0], [1]),
  adapter,
  signal,
});

/** A batcher whose runs answer with the adapters' names, end when they are let go, and are recorded. */
function recorded(maxRows: number): { batcher: RequestBatcher; runs: string[][]; release: () => void } {
  const runs: string[][] = [];
  let release = (): void => undefined;
  const held = new Promise<void>((resolve) => (release = resolve));
  const batcher = new RequestBatcher(async (rows) => {
    const names = rows.map(({ adapter }) => adapter as string);
    runs.push(names);
    await held;
    if (names.includes('broken')) throw new Error('broken');
    return names.map((label) => ({ label }));
  }, maxRows);
  return { batcher, runs, release };
}

test('what comes while a batch is computed is the next batch', async () => {
  const { batcher, runs, release } = recorded(3);
  const answers = ['a', 'b', 'c', 'd', 'e'].map((name) => batcher.ask(row(name)));
  await setImmediate();
  expect(runs).toEqual([['a']]);
  release();
  expect(await Promise.all(answers)).toEqual(['a', 'b', 'c', 'd', 'e'].map((label) => ({ label })));
  expect(runs).toEqual([['a'], ['b', 'c', 'd'], ['e']]);
});

test('a row that cannot be computed fails alone', async () => {
  const { batcher, release } = recorded(3);
  const answers = ['a', 'b', 'broken', 'c'].map((name) => batcher.ask(row(name)));
  release();
  const settled = await Promise.allSettled(answers);
  expect(settled.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected', 'fulfilled']);
  expect(await batcher.ask(row('later'))).toEqual({ label: 'later' });
});

test('what nobody waits for any more is not computed', async () => {
  const { batcher, runs, release } = recorded(3);
  const gone = new AbortController();
  const first = batcher.ask(row('a'));
  const second = batcher.ask(row('b', gone.signal));
  gone.abort();
  release();
  await expect(second).rejects.toMatchObject({ code: 'CANCELLED' });
  expect(await first).toEqual({ label: 'a' });
  expect(runs).toEqual([['a']]);
});
