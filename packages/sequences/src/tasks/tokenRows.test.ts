/** @file Tests of how sequences that are longer than the model are cut. */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { SequenceRecord } from '../record.ts';
import { letters } from '../fixtures/letters.ts';
import { tokenRows, tokensOf, windowStarts } from './tokenRows.ts';

const record = (sequence: string, second?: string): SequenceRecord => ({
  id: 'p1',
  where: 'a.fasta, line 3',
  sequence,
  ...(second === undefined ? {} : { second }),
});
const rows = (given: SequenceRecord, rules: Omit<Parameters<typeof tokenRows>[2], 'tokenizer'>, start?: number) =>
  tokenRows(
    tokensOf(letters, given),
    given,
    { tokenizer: letters, ...rules },
    start === undefined ? undefined : (last) => Math.min(start, last),
  );
const text = (ids: readonly number[]): string => ids.map((id) => letters.tokenOf(id)).join('');

describe('one sequence', () => {
  test('that fits is one row', () => {
    expect(rows(record('ABCD'), { most: 6 })).toEqual([
      { ids: [0, 3, 4, 5, 6, 2], types: [0, 0, 0, 0, 0, 0], at: 1, count: 4, from: 0 },
    ]);
  });

  test('that is too long is cropped at its end, or where it is told', () => {
    expect(rows(record('ABCDEFGH'), { most: 6 }).map(({ ids, count, from }) => [text(ids), count, from])).toEqual([
      ['<ABCD>', 4, 0],
    ]);
    expect(rows(record('ABCDEFGH'), { most: 6 }, 3).map(({ ids, from }) => [text(ids), from])).toEqual([['<DEFG>', 3]]);
    expect(rows(record('ABCDEFGH'), { most: 6 }, 99).map(({ ids, from }) => [text(ids), from])).toEqual([
      ['<EFGH>', 4],
    ]);
  });

  test('is read in windows, of which none is short', () => {
    const windows = rows(record('ABCDEFGHIJ'), { most: 6, tooLong: 'windows' });
    expect(windows.map(({ ids, from }) => [text(ids), from])).toEqual([
      ['<ABCD>', 0],
      ['<DEFG>', 3],
      ['<GHIJ>', 6],
    ]);
    const apart = rows(record('ABCDEFGHI'), { most: 6, tooLong: 'windows', overlap: 0 });
    expect(apart.map(({ ids }) => text(ids))).toEqual(['<ABCD>', '<EFGH>', '<FGHI>']);
  });

  test('is refused by its name where that is asked for', () => {
    expect(() => rows(record('ABCDEFGH'), { most: 6, tooLong: 'error' })).toThrow(
      /a\.fasta, line 3: "p1" has 8 tokens, and the model reads 4 at once/,
    );
    expect(() => rows(record('ABCDEFGH'), { most: 6, tooLong: 'windows', overlap: 4 })).toThrow(/0 to 3 of them/);
  });
});

test('windows cover every token, and share at least what they are told', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 500 }),
      fc.integer({ min: 1, max: 100 }),
      fc.nat(99),
      (tokens, room, more) => {
        const overlap = more % room;
        const starts = windowStarts(tokens, room, overlap);
        expect(starts[0]).toBe(0);
        for (const [i, start] of starts.entries()) {
          if (i > 0) expect(starts[i - 1]! + room - start).toBeGreaterThanOrEqual(overlap);
          if (i > 0) expect(start).toBeGreaterThan(starts[i - 1]!);
        }
        if (tokens > room) expect(starts.at(-1)! + room).toBe(tokens);
        else expect(starts).toEqual([0]);
      },
    ),
  );
});

describe('a pair', () => {
  test('is framed together', () => {
    expect(rows(record('AB', 'CD'), { most: 9 })).toEqual([
      { ids: [0, 3, 4, 2, 2, 5, 6, 2], types: [0, 0, 0, 0, 1, 1, 1, 1], at: 1, count: 2, from: 0 },
    ]);
  });

  test('loses the end of the longer one first', () => {
    const of = (first: string, second: string, most: number) => text(rows(record(first, second), { most })[0]!.ids);
    expect(of('ABCDEFG', 'AB', 9)).toBe('<ABC>>AB>');
    expect(of('AB', 'ABCDEFG', 9)).toBe('<AB>>ABC>');
    expect(of('ABCDEFG', 'HIJKLMN', 9)).toBe('<ABC>>HI>');
  });

  test('is not read in windows', () => {
    expect(() => rows(record('ABCDEFG', 'AB'), { most: 9, tooLong: 'windows' })).toThrow(
      /Pairs are not read in windows/,
    );
  });
});
