/** @file Tests of whose turn it is. */

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FairQueue, type Waiting } from './fairQueue.ts';

interface Entry extends Waiting {
  readonly id: number;
}
const price = (): number => 2;
const costOf = ({ cells }: Entry): number => cells * 2;
let count = 0;
const entry = (tenant: string, cost = 1, more: Partial<Entry> = {}): Entry => {
  return { id: count++, tenant, priority: 0, since: 0, like: 'k', cells: cost / 2, rows: 1, bytes: 10, ...more };
};
const taken = (queue: FairQueue<Entry>, times: number): string =>
  Array.from({ length: times }, () => queue.take()!.tenant).join('');

test('tenants take turns, however much one of them has waiting', () => {
  const queue = new FairQueue<Entry>(price);
  for (let i = 0; i < 100; i++) queue.add(entry('a'));
  expect(taken(queue, 3)).toBe('aaa');
  for (let i = 0; i < 3; i++) queue.add(entry('b'));
  for (let i = 0; i < 3; i++) queue.add(entry('c'));
  // New ones are even with who waits; what `a` had alone is not held against it for long.
  const order = taken(queue, 9);
  expect([...order].toSorted().join('')).toBe('aaabbbccc');
  expect(order).not.toMatch(/aa|bb|cc/u);
  expect(queue.loadOf('b')).toEqual({ jobs: 0, rows: 0, bytes: 0 });
  expect(queue.load).toEqual({ jobs: 94, rows: 94, bytes: 940 });
});

test('by what requests cost, and by weight', () => {
  const queue = new FairQueue<Entry>(price, (tenant) => (tenant === 'b' ? 3 : 1));
  for (let i = 0; i < 40; i++) queue.add(entry('a', 2));
  for (let i = 0; i < 40; i++) queue.add(entry('b', 1));
  // 6 of b cost as much as 3 of a, and b gets three times as much as a.
  const order = taken(queue, 35);
  expect([...order].filter((each) => each === 'b')).toHaveLength(30);
});

test('who asks for little goes first, until it has had its lead', () => {
  const queue = new FairQueue<Entry>(price, undefined, 5);
  for (let i = 0; i < 100; i++) queue.add(entry('a'));
  expect(taken(queue, 20)).toBe('a'.repeat(20));
  for (let i = 0; i < 9; i++) queue.add(entry('b'));
  expect(taken(queue, 5)).toBe('bbbbb');
  expect(taken(queue, 4)).toMatch(/^(ab|ba){2}$/u);
  // With nothing waiting for a moment, it has not won its lead again, but as much as `a` has had since.
  expect(taken(queue, 4)).toMatch(/^(ab|ba){2}$/u);
  expect([queue.loadOf('b').jobs, taken(queue, 3)]).toEqual([0, 'aaa']);
  for (let i = 0; i < 9; i++) queue.add(entry('b'));
  expect(taken(queue, 8)).toMatch(/^b{3,4}(ab|ba)+[ab]?$/u);
});

test('a tenant that never has more than one waiting does not shake off what it has had', () => {
  const queue = new FairQueue<Entry>(price);
  for (let i = 0; i < 300; i++) queue.add(entry('b'));
  let large = 0;
  queue.add(entry('a', 100));
  for (let i = 0; i < 204; i++) {
    if (queue.take()!.tenant !== 'a') continue;
    large++;
    queue.add(entry('a', 100));
  }
  // 202 of b are as much as 2 of a.
  expect(large).toBe(3);
});

test('what costs more than was thought is charged as it is known when it is taken', () => {
  let known = 0.001;
  const queue = new FairQueue<Entry>(() => known);
  for (let i = 0; i < 50; i++) queue.add(entry('a'));
  known = 2;
  expect(queue.ahead('a', 0)).toBe(50);
  for (let i = 0; i < 3; i++) queue.add(entry('b'));
  expect(taken(queue, 6)).toMatch(/^(ab|ba){3}$/u);
});

test('higher priorities first, but none waits forever', () => {
  const queue = new FairQueue<Entry>(price);
  const low = entry('a', 1, { since: 0 });
  const high = entry('a', 1, { since: 1500, priority: 2 });
  const late = entry('a', 1, { since: 2500, priority: 2 });
  for (const each of [late, low, high]) queue.add(each);
  expect([queue.take(), queue.take(), queue.take()]).toEqual([high, low, late]);
  expect(queue.take()).toBeUndefined();
});

test('takes the next that fits, and what leaves is gone', () => {
  const queue = new FairQueue<Entry>(price);
  const all = [entry('a'), entry('a', 1, { rows: 2 }), entry('b')];
  for (const each of all) queue.add(each);
  expect(queue.take(({ rows }) => rows === 2)).toBe(all[1]);
  expect(queue.remove(all[0]!)).toBe(true);
  expect(queue.remove(all[0]!)).toBe(false);
  expect([...queue]).toEqual([all[2]]);
  expect(queue.load.rows).toBe(1);
});

const waiting = fc.array(fc.record({ tenant: fc.constantFrom('a', 'b', 'c'), cost: fc.integer({ min: 1, max: 20 }) }), {
  minLength: 1,
  maxLength: 40,
});

test('while tenants wait, what they get differs by no more than a request of each', () => {
  const weights: Record<string, number> = { a: 1, b: 2, c: 0.5 };
  fc.assert(
    fc.property(waiting, (jobs) => {
      const queue = new FairQueue<Entry>(price, (tenant) => weights[tenant]!);
      for (const { tenant, cost } of jobs) queue.add(entry(tenant, cost));
      const got: Record<string, number> = { a: 0, b: 0, c: 0 };
      for (let next = queue.take(); next; next = queue.take()) {
        got[next.tenant]! += costOf(next) / weights[next.tenant]!;
        for (const [one, other] of ['ab', 'ac', 'bc']) {
          if (queue.loadOf(one!).jobs === 0 || queue.loadOf(other!).jobs === 0) continue;
          expect(Math.abs(got[one!]! - got[other!]!)).toBeLessThanOrEqual(20 / weights[one!]! + 20 / weights[other!]!);
        }
      }
    }),
  );
});

test('what is ahead is what is taken before, but for one request of each other tenant', () => {
  fc.assert(
    fc.property(waiting, fc.constantFrom('a', 'b', 'd'), fc.nat(10), fc.nat(30), (jobs, tenant, before, lead) => {
      const queue = new FairQueue<Entry>(price, (name) => (name === 'b' ? 2 : 1), lead);
      for (const each of jobs) queue.add(entry(each.tenant, each.cost));
      for (let i = 0; i < before; i++) queue.take();
      const own = entry(tenant, 5);
      const said = queue.ahead(tenant, 5);
      queue.add(own);
      let sum = 0;
      for (let next = queue.take()!; next !== own; next = queue.take()!) sum += costOf(next);
      expect(Math.abs(sum - said)).toBeLessThanOrEqual(20 * 3);
    }),
  );
});
