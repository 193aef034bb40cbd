/** @file Labels as batches. */

import { describe, expect, test } from 'vitest';
import { countLabels, labelBatch, labelLength } from './recognitionBatch.ts';

describe('labelBatch', () => {
  test('feeds each row what comes before its labels', () => {
    const { tokens, labels } = labelBatch([[5, 6, 9], [9]], { start: 1, pad: 9, length: 4 });
    expect(tokens.dims).toEqual([2, 4]);
    expect(Array.from(tokens.data, Number)).toEqual([1, 5, 6, 9, 1, 9, 9, 9]);
    expect(Array.from(labels.data, Number)).toEqual([5, 6, 9, -100, 9, -100, -100, -100]);
    // The end counts although it is what rows are filled up with.
    expect(countLabels(labels)).toBe(4);
  });
});

describe('labelLength', () => {
  test('is one for all batches where transcripts are short', () => {
    expect([3, 20, 26].map((longest) => labelLength(longest, 26))).toEqual([26, 26, 26]);
  });

  test('is of few values where they are long, and never less than a row has', () => {
    expect([5, 60, 113, 114, 224, 225, 448].map((longest) => labelLength(longest, 448))).toEqual([
      56, 112, 224, 224, 224, 448, 448,
    ]);
  });
});
