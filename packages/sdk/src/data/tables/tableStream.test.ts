/** @file Tests of bytes that are looked at before they are read, and of tables that are read row by row. */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { peeked, openTable, type TableFormat } from './tableStream.ts';

/** Bytes in pieces of some length, which counts those that were taken. */
function piecesOf(text: string, size: number): AsyncIterable<Uint8Array> & { taken: number; isClosed: boolean } {
  const bytes = Buffer.from(text);
  const source = {
    taken: 0,
    isClosed: false,
    async *[Symbol.asyncIterator]() {
      try {
        for (let at = 0; at < bytes.length; at += size) {
          source.taken += Math.min(size, bytes.length - at);
          yield bytes.subarray(at, at + size);
        }
      } finally {
        source.isClosed = true;
      }
    },
  };
  return source;
}

test('what was looked at is read all the same', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.string({ maxLength: 60 }),
      fc.integer({ min: 1, max: 20 }),
      fc.integer({ min: 0, max: 80 }),
      async (text, size, least) => {
        const { head, bytes } = await peeked(piecesOf(text, size), least);
        const all = Buffer.from(text);
        expect(head.length).toBeGreaterThanOrEqual(Math.min(least, all.length));
        expect(head.length).toBeLessThan(least + size);
        expect(Buffer.from(head)).toEqual(all.subarray(0, head.length));
        const read: Uint8Array[] = [];
        for await (const piece of bytes) read.push(piece);
        expect(Buffer.concat(read)).toEqual(all);
      },
    ),
  );
});

test('a source that was only looked at is let go of', async () => {
  const source = piecesOf('abcdef', 2);
  const { bytes } = await peeked(source, 3);
  await bytes[Symbol.asyncIterator]().return!();
  expect([source.taken, source.isClosed]).toEqual([4, true]);
});

describe('line ends', () => {
  const end = fc.constantFrom('\n', '\r\n', '\r');
  const formats = { csv: [',', 'n,text'], tsv: ['\t', 'n\ttext'], jsonl: [] } as const;

  test.each(Object.keys(formats) as TableFormat[])('of any kind side by side end a line of %s', async (format) => {
    const property = fc.asyncProperty(
      fc.array(end, { minLength: 3, maxLength: 12 }),
      fc.integer({ min: 1, max: 9 }),
      async (ends, size) => {
        const [delimiter, header] = formats[format];
        const lines = ends.map((_, i) => (delimiter ? `${i}${delimiter}t${i}` : JSON.stringify({ n: String(i), text: `t${i}` }))); // prettier-ignore
        const all = header ? [header, ...lines.slice(1)] : lines;
        const text = all.map((line, i) => line + ends[i]!).join('');
        const { columns, rows } = await openTable('t', piecesOf(text, size), format);
        const found: unknown[] = [];
        for await (const { cells } of rows) found.push([cells.get('n'), cells.get('text')]);
        expect(columns).toEqual(['n', 'text']);
        expect(found).toEqual(ends.map((_, i) => [String(i), `t${i}`]).slice(header ? 1 : 0));
      },
    );
    await fc.assert(property, { numRuns: 80, seed: 4 });
  });

  test('inside quotes belong to the cell, and those of UTF-16 are seen', async () => {
    const quoted = await openTable('t', piecesOf('a,b\r\n"x\ny",1\nx,2\r\n"x\r\ny",3', 2), 'csv');
    const cells: unknown[] = [];
    for await (const row of quoted.rows) cells.push([row.place, row.cells.get('a'), row.cells.get('b')]);
    expect(cells.slice(0, 2)).toEqual([
      ['t, line 3', 'x\ny', '1'],
      ['t, line 4', 'x', '2'],
    ]);
    expect(cells[2]).toEqual([expect.any(String), 'x\r\ny', '3']);
    const wide = Buffer.from('\uFEFFa;b\r\n1;2\n3;4\r5;6', 'utf16le');
    const bytes = (async function* () {
      yield await Promise.resolve(wide);
    })();
    const table = await openTable('t', bytes, 'csv');
    const rows: unknown[] = [];
    for await (const row of table.rows) rows.push([row.cells.get('a'), row.cells.get('b')]);
    expect(rows).toEqual([['1', '2'], ['3', '4'], ['5', '6']]); // prettier-ignore
  });
});

describe('a table that is read row by row', () => {
  const texts: Readonly<Record<TableFormat, string>> = {
    csv: `a;b\n${'1;"x\nx"\n'.repeat(50_000)}`,
    tsv: `a\tb\n${'1\tx\n'.repeat(50_000)}`,
    jsonl: '{"a":1,"b":"x"}\n'.repeat(50_000),
  };
  test.each<TableFormat>(['csv', 'tsv', 'jsonl'])('%s', async (format) => {
    const source = piecesOf(texts[format], 1 << 12);
    const { columns, rows } = await openTable('t', source, format);
    expect(columns).toEqual(['a', 'b']);
    const { value } = await rows.next();
    expect(value!.place).toBe(format === 'jsonl' ? 't, line 1' : format === 'csv' ? 't, line 3' : 't, line 2');
    expect([value!.cells.get('a'), value!.cells.get('b')]).toEqual([
      format === 'jsonl' ? 1 : '1',
      format === 'csv' ? 'x\nx' : 'x',
    ]);
    await rows.return();
    await expect.poll(() => source.isClosed).toBe(true);
    expect(source.taken).toBeLessThan(texts[format].length);
  });

  test('has no columns where it is empty', async () => {
    const { columns, rows } = await openTable('t', piecesOf('', 1), 'csv');
    expect([columns, await rows.next()]).toEqual([[], { value: undefined, done: true }]);
  });
});

test.each(['\n', '\r\n', '\r'])(
  'a row is told by the line that it ends on, also behind cells of several lines that end with %j',
  async (end) => {
    const lines = ['a,b', '"x', 'y",1', 'z,2', '"p', '', 'r",3', 'w,4'];
    const { rows } = await openTable('t', piecesOf(lines.join(end), 3), 'csv');
    const places: string[] = [];
    for await (const { place } of rows) places.push(place);
    expect(places).toEqual(['t, line 3', 't, line 4', 't, line 7', 't, line 8']);
    const failure = async (last: string): Promise<string> => {
      try {
        const table = await openTable('t', piecesOf([...lines, last].join(end), 3), 'csv');
        for await (const _ of table.rows) continue;
      } catch (error) {
        return (error as Error).message;
      }
      return '';
    };
    expect(await failure('u')).toContain('t, line 9: the line has 1 cells');
    expect(await failure('"u')).toMatch(
      /^t, line 9: Quote Not Closed: the parsing is finished with an opening quote\. /,
    );
  },
);
