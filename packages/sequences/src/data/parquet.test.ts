/** @file Parquet files: rows as pyarrow reads them, and what is told of those that cannot be read. */

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Row } from '@onnx-lora/sdk/data';
import { describe, expect, it } from 'vitest';
import { dataFolder } from '../fixtures/dataFolder.ts';
import { openParquet, readAnyTable } from './parquet.ts';

const fixtures = fileURLToPath(new URL('../fixtures/parquet', import.meta.url));
const golden = JSON.parse(readFileSync(join(fixtures, 'rows.json'), 'utf8')) as {
  readonly columns: string[];
  readonly rows: Record<string, unknown>[];
};

describe('a table', () => {
  it.each(['snappy', 'gzip', 'none', 'zstd', 'brotli', 'lz4'])(
    'has the rows that pyarrow reads, compressed by %s',
    async (codec) => {
      const { columns, rows } = await readAnyTable(join(fixtures, `${codec}.parquet`));
      expect(columns).toEqual(golden.columns);
      expect(rows.map(({ cells }) => Object.fromEntries(columns.map((column) => [column, cells.get(column) ?? null])))).toEqual(golden.rows); // prettier-ignore
      expect(rows[20]!.place).toBe(`${join(fixtures, `${codec}.parquet`)}, row 21`);
    },
  );

  it('is read group by group, and closed where one stops', async () => {
    const { rows, read, total } = await openParquet(join(fixtures, 'snappy.parquet'));
    const seen: Row[] = [];
    for await (const row of rows) {
      seen.push(row);
      if (seen.length === 3) break;
    }
    expect(seen).toHaveLength(3);
    expect(read()).toBeLessThan(total / 2);
  });
});

describe('what cannot be read is told:', () => {
  const whole = readFileSync(join(fixtures, 'snappy.parquet'));
  const told = async (bytes: Uint8Array): Promise<string> => {
    const file = join(dataFolder({}), 'd.parquet');
    writeFileSync(file, bytes);
    return readAnyTable(file).then(
      () => 'nothing',
      (error: Error & { code?: string }) => `${error.code}: ${error.message}`,
    );
  };

  it('another compression', async () => {
    // The codec of each column, behind its path and before the number of its values: 3 is LZO.
    const lzo = Buffer.from(whole);
    for (let at = 0; (at = lzo.indexOf(Buffer.from([0x15, 0x02, 0x16]), at + 1)) >= 0;) lzo[at + 1] = 0x06;
    expect(await told(lzo)).toMatch(/has the unsupported compression LZO\. Write it with snappy/);
  });

  it('no such file, a text, one that was cut off, and lengths that cannot be', async () => {
    await expect(readAnyTable('nowhere.parquet')).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
    expect(await told(Buffer.from('text,label\na,b\n'))).toMatch(/DATA_INVALID: .* is no Parquet file, or was cut off/);
    expect(await told(whole.subarray(0, -20))).toMatch(/is no Parquet file, or was cut off/);
    const long = Buffer.from(whole);
    long.writeUInt32LE(0x7fffffff, long.length - 8);
    expect(await told(long)).toMatch(/claims 2147483647 bytes about its columns/);
  });

  it('a column of no place in the file, with damage in another that nobody would wait for', async () => {
    const unhandled: unknown[] = [];
    const listen = (reason: unknown): unknown => unhandled.push(reason);
    process.on('unhandledRejection', listen);
    try {
      const bytes = Buffer.from(whole);
      // The first page, and the name of the last column where the first row group has it, behind the schema.
      bytes.fill(0xff, 4, 40);
      bytes.write('is_old', bytes.indexOf('is_new', bytes.indexOf('is_new') + 1));
      const message = await told(bytes);
      await new Promise(setImmediate);
      expect(unhandled).toEqual([]);
      expect(message).toMatch(/DATA_INVALID: .* cannot be read: a row group has other columns than the file/);
    } finally {
      process.off('unhandledRejection', listen);
    }
  });

  it('damage, wherever it is, ends in an error of ours or in rows', async () => {
    for (const codec of ['snappy', 'zstd', 'lz4']) {
      const good = readFileSync(join(fixtures, `${codec}.parquet`));
      for (let at = 4; at < good.length - 8; at += 293) {
        const bytes = Buffer.from(good);
        bytes.fill(0xff, at, at + 3);
        expect(await told(bytes)).toMatch(/^(?:nothing|DATA_INVALID: )/);
      }
    }
  });
});
