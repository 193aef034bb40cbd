/** @file Rows that are computed together. */

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { lengthBuckets } from './lengthBuckets.ts';

test('every row is in one batch, and no batch is too large', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 60 }), { maxLength: 80 }),
      fc.integer({ min: 1, max: 9 }),
      fc.integer({ min: 1, max: 200 }),
      fc.boolean(),
      (lengths, rows, tokens, isPadded) => {
        const batches = lengthBuckets(lengths, { rows, tokens, isPadded });
        expect(batches.flat().sort((a, b) => a - b)).toEqual([...lengths.keys()]);
        for (const batch of batches) {
          const own = batch.map((row) => lengths[row]!);
          expect(batch.length).toBeLessThanOrEqual(rows);
          if (batch.length > 1) expect(batch.length * Math.max(...own)).toBeLessThanOrEqual(tokens);
          if (!isPadded) expect(new Set(own).size).toBe(1);
        }
      },
    ),
  );
});

test('rows of like length are together', () => {
  expect(lengthBuckets([5, 9, 4, 8], { rows: 2, tokens: 100, isPadded: true })).toEqual([
    [1, 3],
    [0, 2],
  ]);
});
