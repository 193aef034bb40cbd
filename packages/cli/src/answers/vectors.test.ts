import fc from 'fast-check';
import { expect, test } from 'vitest';
import { briefVector, plainNumber, withColumns, withLists } from './vectors.ts';

test('a number has no more digits than it takes', () => {
  expect([0.1, -2.5, 1 / 3, 1e-30, 0].map(Math.fround).map(plainNumber)).toEqual([0.1, -2.5, 0.33333334, 1e-30, 0]);
  fc.assert(
    fc.property(fc.float({ noNaN: true, noDefaultInfinity: true }), (value) => {
      expect(Math.fround(plainNumber(value)) + 0).toBe(value + 0);
    }),
  );
});

test('vectors become lists or columns, and what else there is stays', () => {
  const answer = { id: 'a', embedding: Float32Array.of(0.5, 0.1), spans: [1, 2] };
  expect(withLists(answer)).toEqual({ id: 'a', embedding: [0.5, 0.1], spans: [1, 2] });
  expect(withColumns(answer)).toEqual({ id: 'a', embedding0: 0.5, embedding1: 0.1, spans: [1, 2] });
  expect(Object.keys(withColumns(answer))).toEqual(['id', 'embedding0', 'embedding1', 'spans']);
});

test('a vector is shown by its first numbers', () => {
  expect(briefVector(Float32Array.of(0.5, 1))).toBe('0.5 1');
  expect(briefVector(Float32Array.of(0.5, -0.25, 0, 4))).toBe('0.5 -0.25 0 … (4 numbers)');
});
