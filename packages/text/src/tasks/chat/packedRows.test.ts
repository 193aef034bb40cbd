/** @file Rows are filled as best fit, the longest first, fills them, and say which tokens are whose. */

import { int64 } from '@onnx-lora/sdk';
import { describe, expect, test } from 'vitest';
import { packedFeeds, packedRows } from './rowLayouts.ts';
import { feedsOfRow } from './sftRows.ts';

describe('rows of several', () => {
  test('have the row with the least room in which each fits', () => {
    // By hand: 6 | 5 | 4 beside the 6 (room 4, not 5) | 3 beside the 5 (room 5) | 2 beside the 5 and the 3 | 1 in a new row.
    expect(packedRows([1, 2, 3, 4, 5, 6], 10)).toEqual([[5, 3], [4, 2, 1], [0]]);
    expect(packedRows([10, 10], 10)).toEqual([[0], [1]]);
    expect(packedRows([], 10)).toEqual([]);
  });

  test('hold every one once, and no more than fits', () => {
    const lengths = Array.from({ length: 500 }, (_, i) => 1 + ((i * i * 7 + 3 * i) % 90));
    const rows = packedRows(lengths, 128);
    expect(rows.flat().sort((a, b) => a - b)).toEqual([...lengths.keys()]);
    const filled = rows.map((row) => row.reduce((sum, place) => sum + lengths[place]!, 0));
    expect(Math.max(...filled)).toBeLessThanOrEqual(128);
    // No two rows fit into one, so at most one is half empty.
    expect(filled.filter((each) => each <= 64).length).toBeLessThanOrEqual(1);
  });

  test('begin positions again, from where the model begins', () => {
    const row = { ...feedsOfRow({ ids: Int32Array.of(7, 8, 9, 7, 8), labels: new Int32Array(5), bytes: 0 }), segments: [3, 2] }; // prettier-ignore
    const fed = { ids: int64([7, 8, 9, 7, 8, 0], [1, 6]), at: int64([2, 3, 4, 5, 6, 1], [1, 6]) };
    const { inputs, segments } = packedFeeds([row], fed, { ids: 'ids', positions: 'at' });
    expect(Array.from(segments.data, Number)).toEqual([0, 0, 0, 1, 1, 1]);
    expect(Array.from(inputs['at']!.data, Number)).toEqual([2, 3, 4, 2, 3, 4]);
    expect(inputs['ids']).toBe(fed.ids);
  });
});
