/** @file Windows put together give means, in whatever order they come. */

import fc from 'fast-check';
import { expect, test } from 'vitest';
import '../../../../../test/support/seed.ts';
import { JoinedWindows, type PartAnswer } from './joinedWindows.ts';

/** Windows of 4 tokens that begin at every other part, with answers that differ from window to window. */
function windowsOf(record: number, count: number): { record: number; windows: number; answers: PartAnswer[] }[] {
  return Array.from({ length: count }, (_, window) => ({
    record,
    windows: count,
    answers: [0, 1, 2, 3].map((i) => {
      const part = 2 * window + i;
      return { part, truth: part % 3, values: Float64Array.of(record + part, window) };
    }),
  }));
}

/** Results of the windows of a record, one by one. */
function expected(record: number, count: number): { part: number; truth: number; values: number[] }[] {
  return Array.from({ length: 2 * count + 2 }, (_, part) => {
    const windows = Array.from({ length: count }, (__, window) => window).filter((window) => part >= 2 * window && part < 2 * window + 4); // prettier-ignore
    const mean = windows.reduce((sum, window) => sum + window, 0) / windows.length;
    return { part, truth: part % 3, values: [record + part, mean] };
  });
}

test('answers are means over the windows that hold a residue, once for each record', () => {
  const shape = fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(shape, fc.infiniteStream(fc.nat()), (counts, keys) => {
      const all = counts.flatMap((count, record) => windowsOf(record, count));
      const order = all.map((window) => ({ window, key: keys.next().value as number })).sort((a, b) => a.key - b.key);
      const found = new Map<number, readonly PartAnswer[]>();
      const joined = new JoinedWindows((record, answers) => {
        expect(found.has(record)).toBe(false);
        found.set(record, answers);
      });
      for (const { window } of order) joined.add(window);
      joined.flush();
      expect(found.size).toBe(counts.length);
      for (const [record, count] of counts.entries()) {
        const answers = found.get(record)!.map((answer) => ({ ...answer, values: [...answer.values] }));
        expect(answers).toEqual(expected(record, count));
      }
    }),
  );
});

test('records of which windows are lacking are taken as they are, after the last batch', () => {
  const found: (readonly PartAnswer[])[] = [];
  const joined = new JoinedWindows((_, answers) => found.push(answers));
  joined.add(windowsOf(7, 3)[1]!);
  expect(found).toEqual([]);
  joined.flush();
  joined.flush();
  expect(found).toHaveLength(1);
  expect(found[0]!.map(({ part }) => part)).toEqual([2, 3, 4, 5]);
});
