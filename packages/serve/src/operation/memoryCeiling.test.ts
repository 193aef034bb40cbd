/** @file A ceiling for memory, on numbers that the test makes. */

import { expect, it } from 'vitest';
import type { Job } from '../scheduler/job.ts';
import { MemoryCeiling } from './memoryCeiling.ts';

const job = (rows: number, bytes = 0): Job => ({
  work: undefined,
  key: 'k',
  rows,
  length: 0,
  bytes,
  adapter: null,
  tenant: '',
  priority: 5,
});

/** A ceiling of 1,000 bytes for a process whose memory the test says. */
function ceilingOf(taken: number): { ceiling: MemoryCeiling; taken: (bytes: number) => void; shrunk: number[] } {
  let now = taken;
  let time = 0;
  const shrunk: number[] = [];
  const ceiling = new MemoryCeiling(1000, { resident: () => now, collect: () => undefined, now: () => (time += 1000) });
  ceiling.whenTight((part) => shrunk.push(part));
  return { ceiling, taken: (bytes) => (now = bytes), shrunk };
}

it('has adapters and batches shrink where it becomes tight, and then refuses', () => {
  const { ceiling, taken, shrunk } = ceilingOf(400);
  ceiling.requireRoom();
  taken(600);
  expect([ceiling.pressure, ceiling.adapterBytes(400), ceiling.batchLimits({}).maxRows]).toEqual([0, 200, 32]);
  taken(775);
  expect(ceiling.pressure).toBeCloseTo(0.5, 9);
  expect(ceiling.adapterBytes(400)).toBeCloseTo(100, 9);
  expect(ceiling.batchLimits({}).maxRows).toBe(16);
  expect(ceiling.refuses(job(1), false)).toBe(false);
  expect(shrunk).toEqual([]);
  taken(900);
  expect([ceiling.adapterBytes(400), ceiling.batchLimits({}).maxRows]).toEqual([0, 1]);
  expect(ceiling.refuses(job(1), false)).toBe(false);
  taken(960);
  expect(ceiling.refuses(job(1), false)).toBe(true);
  expect(shrunk).toEqual([0.5]);
  // Alone, what is no larger than what there was takes no more memory.
  expect(ceiling.refuses(job(1), true)).toBe(false);
  expect(ceiling.refuses(job(9, 90), true)).toBe(true);
});

it('learns what a position takes, and lets batches grow no faster than that is known', async () => {
  const { ceiling, taken } = ceilingOf(500);
  expect(ceiling.batchLimits({}).maxCells).toBe(16);
  const compute = ceiling.watched(async (batch) => {
    taken(580);
    return batch;
  });
  await compute([job(10), job(6)], new AbortController().signal);
  // 80 bytes for 8 positions more; 270 are left below 850.
  expect(ceiling.batchLimits({}).maxCells).toBe(32);
  expect(ceiling.refuses(job(42), false)).toBe(false);
  expect(ceiling.refuses(job(44), false)).toBe(true);
});

it('says before the first request where the model alone is too large', () => {
  expect(() => ceilingOf(690).ceiling.requireRoom()).not.toThrow();
  expect(() => ceilingOf(710).ceiling.requireRoom()).toThrow('Set 1015 at least');
});
