/** @file The queue of a session's runs: their order, who is refused, who is cancelled, and that all is let go of. */

import { describe, expect, it } from 'vitest';
import { RunQueue } from './runQueue.ts';

/** Work that ends when it is told to, and says when it began. */
function work(): {
  start: () => Promise<string>;
  end: (result?: string) => void;
  fail: () => void;
  starts: () => number;
} {
  let count = 0;
  let settle: { resolve: (value: string) => void; reject: (error: Error) => void } | undefined;
  return {
    start: () => {
      count++;
      return new Promise((resolve, reject) => (settle = { resolve, reject }));
    },
    end: (result = 'done') => settle!.resolve(result),
    fail: () => settle!.reject(new Error('it failed')),
    starts: () => count,
  };
}

/** Lets all promises that are due settle. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('order', () => {
  it('one at a time, first come first served, failures included', async () => {
    const queue = new RunQueue('net');
    const [a, b, c] = [work(), work(), work()];
    const runs = [queue.add(a.start), queue.add(b.start), queue.add(c.start)];
    const outcomes = Promise.allSettled(runs);
    const starts = (): number[] => [a, b, c].map((each) => each.starts());
    expect(starts()).toEqual([1, 0, 0]);
    a.end('a');
    await settled();
    expect(starts()).toEqual([1, 1, 0]);
    b.fail();
    await settled();
    expect(starts()).toEqual([1, 1, 1]);
    c.end('c');
    expect(await outcomes).toEqual([
      { status: 'fulfilled', value: 'a' },
      { status: 'rejected', reason: new Error('it failed') },
      { status: 'fulfilled', value: 'c' },
    ]);
  });

  it('closing waits for all that came before, and refuses what comes after', async () => {
    const queue = new RunQueue('net');
    const [a, b] = [work(), work()];
    const runs = [queue.add(a.start), queue.add(b.start)];
    let isClosed = false;
    const closed = queue.close().then(() => (isClosed = true));
    await expect(queue.add(work().start)).rejects.toThrow('The session of "net" has been released');
    a.end();
    await settled();
    expect([b.starts(), isClosed]).toEqual([1, false]);
    b.end();
    await closed;
    expect(await Promise.all(runs)).toEqual(['done', 'done']);
  });
});

describe('a limit', () => {
  it('counts those that wait, not the one that runs', async () => {
    const queue = new RunQueue('net', 2);
    const all = Array.from({ length: 3 }, work);
    const runs = all.map(({ start }) => queue.add(start));
    const refused = work();
    await expect(queue.add(refused.start)).rejects.toMatchObject({ code: 'OVERLOADED' });
    all[0]!.end();
    await settled();
    const late = work();
    runs.push(queue.add(late.start));
    for (const each of [all[1]!, all[2]!, late]) {
      await settled();
      each.end();
    }
    await Promise.all(runs);
    expect([refused.starts(), late.starts()]).toEqual([0, 1]);
  });

  it('of none refuses whatever cannot begin at once', async () => {
    const queue = new RunQueue('net', 0);
    const a = work();
    const run = queue.add(a.start);
    await expect(queue.add(work().start)).rejects.toMatchObject({ code: 'OVERLOADED' });
    a.end();
    expect(await run).toBe('done');
  });
});

describe('a signal', () => {
  it('drops work that waits: it never begins, and makes room', async () => {
    const queue = new RunQueue('net', 1);
    const [a, dropped, b] = [work(), work(), work()];
    const controller = new AbortController();
    const first = queue.add(a.start);
    const waiting = queue.add(dropped.start, { signal: controller.signal });
    controller.abort(new Error('gone'));
    await expect(waiting).rejects.toMatchObject({ code: 'CANCELLED', cause: { message: 'gone' } });
    const second = queue.add(b.start);
    a.end();
    await settled();
    b.end();
    await Promise.all([first, second]);
    expect(dropped.starts()).toBe(0);
  });

  it('abandons work that runs: the next begins only when it has ended', async () => {
    const queue = new RunQueue('net');
    const [a, b] = [work(), work()];
    const controller = new AbortController();
    const abandoned = queue.add(a.start, { signal: controller.signal });
    const next = queue.add(b.start);
    controller.abort();
    await expect(abandoned).rejects.toMatchObject({ code: 'CANCELLED' });
    expect(b.starts()).toBe(0);
    a.end();
    await settled();
    expect(b.starts()).toBe(1);
    b.end();
    await next;
  });

  it('that was given before refuses, and one that comes after changes nothing', async () => {
    const queue = new RunQueue('net');
    const a = work();
    await expect(queue.add(a.start, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'CANCELLED' });
    const controller = new AbortController();
    const run = queue.add(a.start, { signal: controller.signal });
    a.end();
    expect(await run).toBe('done');
    controller.abort();
    expect(await run).toBe('done');
  });
});

it('lets go once of what each piece held, however it ends', async () => {
  const queue = new RunQueue('net', 2);
  const ends: string[] = [];
  const ended = (name: string): { ended: () => void } => ({ ended: () => ends.push(name) });
  const [done, failing] = [work(), work()];
  const [running, waiting] = [new AbortController(), new AbortController()];
  const runs = [
    queue.add(done.start, { ...ended('abandoned'), signal: running.signal }),
    queue.add(work().start, { ...ended('dropped'), signal: waiting.signal }),
    queue.add(failing.start, ended('failed')),
    queue.add(work().start, ended('refused')),
  ];
  const outcomes = Promise.allSettled(runs);
  expect(ends).toEqual(['refused']);
  waiting.abort();
  expect(ends).toEqual(['refused', 'dropped']);
  running.abort();
  // Its tensors are still being read.
  expect(ends).toEqual(['refused', 'dropped']);
  done.end();
  await settled();
  failing.fail();
  await outcomes;
  await settled();
  expect(ends).toEqual(['refused', 'dropped', 'abandoned', 'failed']);
});
