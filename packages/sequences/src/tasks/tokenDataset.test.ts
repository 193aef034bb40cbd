/** @file Tests of sequences as examples. */

import { describe, expect, test } from 'vitest';
import type { SequenceRecord } from '../record.ts';
import { letters } from '../fixtures/letters.ts';
import { TokenDataset } from './tokenDataset.ts';

const records: SequenceRecord[] = [
  { id: 'a', where: 'line 1', sequence: 'ABCDEFGHIJ', labels: ['x'] },
  { id: 'b', where: 'line 2', sequence: 'AB', labels: ['y'] },
  { id: 'c', where: 'line 3', sequence: 'CD', labels: ['y'] },
];
const made = (tooLong: 'crop' | 'windows', isCroppedAtRandom = false): TokenDataset<number> =>
  new TokenDataset(records, [10, 20, 30], {
    rules: { tokenizer: letters, most: 6, tooLong },
    seed: 7,
    isCroppedAtRandom,
  });
const text = (ids: readonly number[]): string => ids.map((id) => letters.tokenOf(id)).join('');

describe('windows', () => {
  const dataset = made('windows');

  test('are examples that know their record', async () => {
    expect(dataset.length).toBe(5);
    expect(dataset.recordOf).toEqual([0, 0, 0, 1, 2]);
    expect(dataset.lengths).toEqual([6, 6, 6, 4, 4]);
    expect([0, 3].map((index) => dataset.nameOf(index))).toEqual(['line 1', 'line 2']);
    const second = await dataset.get(1);
    expect(second).toMatchObject({ index: 0, windows: 3, target: 10, record: records[0] });
    expect(second.draw).toBeUndefined();
    expect(text(second.row.ids)).toBe('<DEFG>');
    expect(await dataset.get(4, 12)).toMatchObject({ index: 2, windows: 1, target: 30, draw: 12 });
    await expect(dataset.get(5)).rejects.toThrow(/no example 5/);
  });

  test('weigh as their record does', () => {
    expect(dataset.weights).toEqual([1, 1, 1, 0.5, 0.5]);
  });
});

describe('cropping', () => {
  test('takes the beginning, always the same', async () => {
    const dataset = made('crop');
    expect(dataset.isDeterministic).toBe(true);
    for (const draw of [undefined, 1, 2]) expect(text((await dataset.get(0, draw)).row.ids)).toBe('<ABCD>');
  });

  test('at random takes another part with each draw, the same for the same one', async () => {
    const dataset = made('crop', true);
    expect(dataset.isDeterministic).toBe(false);
    expect(text((await dataset.get(0)).row.ids)).toBe('<ABCD>');
    const drawn = await Promise.all(Array.from({ length: 60 }, (_, draw) => dataset.get(0, draw)));
    const parts = new Set(drawn.map(({ row }) => text(row.ids)));
    expect([...parts].sort()).toEqual(['<ABCD>', '<BCDE>', '<CDEF>', '<DEFG>', '<EFGH>', '<FGHI>', '<GHIJ>']);
    expect((await dataset.get(0, 5)).row).toEqual(drawn[5]!.row);
    expect(text((await dataset.get(1, 5)).row.ids)).toBe('<AB>');
  });

  test('of nothing leaves the data as they are', () => {
    const short = new TokenDataset(records.slice(1), [1, 2], {
      rules: { tokenizer: letters, most: 6 },
      seed: 0,
      isCroppedAtRandom: true,
    });
    expect(short.isDeterministic).toBe(true);
  });
});
