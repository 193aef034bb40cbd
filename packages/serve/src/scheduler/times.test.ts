/** @file Tests of what is learnt from how long batches took. */

import { expect, test } from 'vitest';
import { BatchTimes } from './times.ts';

test('the first of a key is left out, and newer ones count for more', () => {
  const times = new BatchTimes();
  times.add('k', 1, 1000);
  expect(times.perCell('k')).toBeUndefined();
  times.add('k', 2, 8);
  expect(times.perCell('k')).toBe(4);
  times.add('k', 2, 16);
  expect(times.perCell('k')).toBeCloseTo((8 * 0.95 + 16) / (2 * 0.95 + 2), 12);
  expect(times.perCell('other')).toBeUndefined();
});

test('of times on a line, what a batch costs anyway and by its size', () => {
  const learnt = (fixed: number, each: number, sizes: readonly number[]): number => {
    const times = new BatchTimes();
    times.add('k', 1, 0);
    for (const size of sizes) times.add('k', size, fixed + each * size);
    return times.worthwhileCells('k');
  };
  expect(learnt(3, 2, [1, 4, 2, 8])).toBeCloseTo(15, 6);
  expect(learnt(0, 2, [1, 4, 2, 8])).toBeCloseTo(0, 6);
  expect(learnt(3, 2, [])).toBe(Infinity);
  // Step by step, from the largest that there was.
  expect(learnt(9, -1, [1, 4, 2, 8])).toBe(16);
  expect(learnt(3, 2, [4, 4, 4])).toBe(8);
  expect(learnt(3, 2, [1, 4])).toBe(8);
  expect(learnt(0, 2, [4, 4, 8, ...new Array<number>(20).fill(4)])).toBeCloseTo(0, 6);
  // Sizes that differed long ago are forgotten.
  expect(learnt(0, 2, [8, ...new Array<number>(200).fill(4)])).toBe(8);
});

test('so many keys are known', () => {
  const times = new BatchTimes();
  for (const key of ['k', 'k', ...Array.from({ length: 999 }, (_, i) => String(i)), 'k', 'one more'])
    times.add(key, 1, 1);
  expect(times.perCell('k')).toBe(1);
  for (let i = 0; i < 1000; i++) times.add(`more ${i}`, 1, 1);
  expect(times.perCell('k')).toBeUndefined();
});
