/** @file Which part of a long protein is looked at. */

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { sharedWindow, windowAround } from './tokenScores.ts';

test('a window lies around its position, as ProteinGym has it', () => {
  // get_optimal_window(position, 20, 8) of ProteinGym.
  expect([0, 3, 4, 9, 15, 16, 19].map((position) => windowAround(position, 20, 8))).toEqual([
    [0, 8],
    [0, 8],
    [0, 8],
    [5, 13],
    [11, 19],
    [12, 20],
    [12, 20],
  ]);
  expect(windowAround(3, 6, 8)).toEqual([0, 6]);
});

test('windows hold their position, are full, and stay in the sequence', () => {
  const cases = fc
    .record({ length: fc.integer({ min: 1, max: 300 }), size: fc.integer({ min: 1, max: 100 }) })
    .chain(({ length, size }) => fc.record({ length: fc.constant(length), size: fc.constant(size), at: fc.nat(length - 1) })); // prettier-ignore
  fc.assert(
    fc.property(cases, ({ length, size, at }) => {
      for (const [from, to] of [windowAround(at, length, size), sharedWindow(at, length, size)]) {
        expect(from <= at && at < to && from >= 0 && to <= length).toBe(true);
        expect(to - from).toBe(Math.min(length, size));
      }
    }),
  );
});

test('windows that are shared are few, and show a quarter on each side', () => {
  const [length, size] = [1000, 100];
  const spans = Array.from({ length }, (_, at) => sharedWindow(at, length, size));
  expect(new Set(spans.map(([from]) => from)).size).toBe(19);
  for (const [at, [from, to]] of spans.entries()) {
    expect(at - from >= 25 || from === 0).toBe(true);
    expect(to - at >= 25 || to === length).toBe(true);
  }
});
