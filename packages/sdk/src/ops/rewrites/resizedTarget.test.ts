/** @file Shapes that were written down for other sizes. */

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { expandTarget, reshapeTarget } from './resizedTarget.ts';

it.each([
  [
    ['b', 50, 32],
    ['b', 20, 32],
    [-1, 50, 2, 16],
    [-1, 20, 2, 16],
  ],
  [
    ['b', 50, 32],
    ['b', 20, 32],
    ['b', -1, 2, 16],
    ['b', -1, 2, 16],
  ],
  [
    ['b', 50, 32],
    ['b', 20, 32],
    ['c', -1, 2, 16],
    ['c', -1, 2, 16],
  ],
  [
    ['b', 50, 32],
    ['b', 20, 32],
    [0, 0, 2, 16],
    [0, 0, 2, 16],
  ],
  [
    ['b', 2, 50, 16],
    ['b', 2, 20, 16],
    [-1, 50, 16],
    [-1, 20, 16],
  ],
  [
    [3, 50, 32],
    [3, 20, 32],
    [150, 32],
    [60, 32],
  ],
  [
    [3, 50, 1],
    [3, 20, 1],
    [3, 1, 50],
    [3, 1, 20],
  ],
  [
    ['b', 50, 50],
    ['b', 20, 50],
    ['b', 50, 50, 1],
    ['b', 20, 50, 1],
  ],
  [
    ['12*b', 4],
    ['5*b', 4],
    [-1, 12, 4],
    [-1, 5, 4],
  ],
  // It may be that 3 times as many rows are meant.
  [['12*b', 2], ['6*b', 2], [-1, 4, 2], undefined],
  // Two sizes have become one, and one two.
  [['b', 12], ['b', 6], [-1, 3, 4], undefined],
  [['b', 12, 2], ['b', 6, 2], [-1, 4], undefined],
] as const)('%j, now %j: %j becomes %j', (old, now, target, expected) => {
  expect(reshapeTarget({ old, now, target })).toEqual(expected);
});

it('takes as many numbers as the data has', () => {
  // Axes in groups; the target joins some groups. The changed axis may stand alone or be joined.
  const size = fc.integer({ min: 1, max: 7 });
  fc.assert(
    fc.property(fc.array(size, { maxLength: 3 }), size, fc.integer({ min: 1, max: 6 }), fc.array(size, { maxLength: 3 }), fc.boolean(), (before, most, less, after, joins) => {
      const [large, small] = [most + less, most];
      const product = (dims: readonly number[]): number => dims.reduce((a, b) => a * b, 1);
      const shape = (dim: number): number[] => [...before, dim, ...after];
      const target = joins ? [product([...before, large]), product(after)] : [-1, large, product(after)];
      const found = reshapeTarget({ old: shape(large), now: shape(small), target });
      const rest = product(found!.filter((dim) => dim !== -1) as number[]);
      if (joins) expect(rest).toBe(product(shape(small)));
      else expect(found).toEqual([-1, small, product(after)]);
    }),
  ); // prettier-ignore
});

it('Expand follows the sizes of its data', () => {
  expect(expandTarget({ old: [1, 50], now: [1, 20], target: [4, 3, 50] })).toEqual([4, 3, 20]);
  expect(expandTarget({ old: [1, 50], now: [1, 20], target: [50, 50] })).toEqual([50, 20]);
});
