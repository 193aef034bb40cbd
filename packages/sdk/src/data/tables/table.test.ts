import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { OnnxLoraError } from '../../errors.ts';
import { readTable } from './table.ts';
import type { TableOptions } from './cells.ts';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'onnx-lora-table-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

interface Rows {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly unknown[])[];
  readonly places: readonly string[];
}

async function read(name: string, content: string | Uint8Array, options?: TableOptions): Promise<Rows> {
  const file = join(folder, name);
  writeFileSync(file, content);
  const { columns, rows } = await readTable(file, options);
  return {
    columns,
    rows: rows.map(({ cells }) => columns.map((column) => cells.get(column))),
    places: rows.map(({ place }) => place.slice(file.length)),
  };
}

describe('a table', () => {
  const cell = fc
    .string({ unit: fc.constantFrom('a', 'é', '"', ',', ';', '\t', '\n', '\0', '語', ' ') })
    .map((text) => text.trim());
  const rows = fc.array(
    fc.tuple(
      cell.map((text) => `x${text}`),
      cell,
    ),
    { minLength: 1, maxLength: 20 },
  );

  test('has the cells that were written into a CSV file, however it separates them', async () => {
    const quoted = (text: string): string => `"${text.replaceAll('"', '""')}"`;
    const property = fc.asyncProperty(
      rows,
      fc.constantFrom(',', ';', '\t'),
      fc.constantFrom('\n', '\r\n'),
      fc.boolean(),
      async (cells, separator, end, hasMark) => {
        const lines = [['name', 'text'], ...cells].map((row) => row.map(quoted).join(separator));
        const found = await read('m.csv', (hasMark ? '\uFEFF' : '') + lines.join(end) + end);
        expect(found.columns).toEqual(['name', 'text']);
        // Cells are trimmed.
        expect(found.rows).toEqual(cells.map((row) => row.map((each) => each.trim())));
      },
    );
    await fc.assert(property, { numRuns: 60, seed: 1 });
  });

  test('has the values that were written into a JSON file', async () => {
    const value = fc.oneof(fc.string(), fc.integer(), fc.boolean(), fc.constant(null), fc.array(fc.string()));
    const property = fc.asyncProperty(fc.array(value, { minLength: 1, maxLength: 9 }), async (values) => {
      const objects = values.map((text, i) => ({ name: i, text }));
      const expected = objects.map(({ name, text }) => [name, text]);
      const lines = objects.map((each) => JSON.stringify(each)).join('\n\n');
      expect((await read('m.jsonl', lines)).rows).toEqual(expected);
      expect((await read('m.json', lines)).rows).toEqual(expected);
      expect((await read('m.json', `\uFEFF ${JSON.stringify(objects)}`)).rows).toEqual(expected);
    });
    await fc.assert(property, { numRuns: 40, seed: 2 });
  });

  test('takes quotes for signs like others where they enclose nothing', async () => {
    const content = 'path\ttext\na\t"Hola" dijo\nb\tdijo "hola\n';
    expect((await read('m.tsv', content, { hasQuotes: false })).rows).toEqual([
      ['a', '"Hola" dijo'],
      ['b', 'dijo "hola'],
    ]);
    await expect(read('m.tsv', content)).rejects.toThrow(/m\.tsv, line 2/);
  });

  test('says in which line a row is', async () => {
    const found = await read('m.csv', 'a,b\n1,2\n\n"3\n3",4\n5,6\n');
    expect(found.places).toEqual([', line 2', ', line 5', ', line 6']);
    expect((await read('m.jsonl', '{"a":1}\n\n{"a":2}')).places).toEqual([', line 1', ', line 3']);
  });

  test('is an error or a table, whatever the bytes', async () => {
    const piece = fc.oneof(
      fc.constantFrom('"', ',', '\n', '\r', '\0', '{', '}', '[', ']', ':', '\uFEFF', 'path', '1', '\\'),
      fc.string(),
    );
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc.array(piece, { maxLength: 40 }).map((pieces) => Buffer.from(pieces.join(''))),
    );
    const names = fc.constantFrom('x.csv', 'x.tsv', 'x.jsonl', 'x.json');
    const property = fc.asyncProperty(names, bytes, async (name, content) => {
      const failure: unknown = await read(name, content).then(
        () => undefined,
        (cause: unknown) => cause,
      );
      if (failure === undefined) return;
      expect(failure).toBeInstanceOf(OnnxLoraError);
      expect((failure as OnnxLoraError).message).toContain(name);
    });
    await fc.assert(property, { numRuns: 300, seed: 3 });
  });

  test.each([
    ['a JSON line', 'm.jsonl', `{"a": "${'x'.repeat(1 << 24)}"}`, /m\.jsonl, line 1: the line has more than/],
    [
      'a cell whose quotes never end',
      'm.csv',
      `a,b\n"${'x'.repeat((1 << 24) + 100)}`,
      /m\.csv.*(?:Max Record Size|larger)/,
    ],
  ])('refuses %s of 16 MB', async (_, name, content, reason) => {
    await expect(read(name, content)).rejects.toThrow(reason);
  });
});
