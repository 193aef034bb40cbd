/** @file Tests of the lengths that return. */

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { bucketLength } from './batches.ts';

test('rungs are few, and not much longer', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1e6 }), (length) => {
      const padded = bucketLength(length, 8);
      expect(padded).toBeGreaterThanOrEqual(length);
      expect(padded - length).toBeLessThan(Math.max(8, length / 4));
      expect(bucketLength(padded, 8)).toBe(padded);
    }),
  );
  expect(new Set(Array.from({ length: 4096 }, (_, i) => bucketLength(i + 1, 8))).size).toBe(8 + 4 * 6);
});
