/** @file Tests of the FASTA reader. */

import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { OnnxLoraError } from '@onnx-lora/sdk';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type FastaRecord, MAX_SEQUENCE, parseFasta } from './fasta.ts';
import { readFasta } from '../sequenceFile.ts';

async function all(records: AsyncIterable<FastaRecord>): Promise<FastaRecord[]> {
  const result: FastaRecord[] = [];
  for await (const record of records) result.push(record);
  return result;
}
const parse = (...chunks: string[]): Promise<FastaRecord[]> => all(parseFasta(chunks, 'p.fasta'));

describe('parseFasta', () => {
  it('reads ids, descriptions, sequences and lines', async () => {
    expect(await parse('; made by hand\n>sp|P1|A_B first protein OS=X\nMKT\nAY I\n\n>b\nmk-.*\n')).toEqual([
      { id: 'sp|P1|A_B', description: 'first protein OS=X', sequence: 'MKTAYI', line: 2 },
      { id: 'b', description: '', sequence: 'mk-.*', line: 6 },
    ]);
  });

  it('takes any line end, a byte order mark, and no line end at the end', async () => {
    const expected = [
      { id: 'a', description: 'x', sequence: 'MK', line: 1 },
      { id: 'b', description: '', sequence: 'T', line: 4 },
    ];
    for (const end of ['\n', '\r\n', '\r']) {
      expect(await parse(`\uFEFF>a x${end}M${end}K${end}>b${end}T`), JSON.stringify(end)).toEqual(expected);
    }
  });

  it('gives the same wherever the text is cut', async () => {
    const record = fc.record({
      id: fc.stringMatching(/^[a-z|0-9]{1,8}$/),
      description: fc.stringMatching(/^(?:[a-z>][a-z>]{0,8})?$/),
      rows: fc.array(fc.stringMatching(/^[A-Z*.-]{1,9}$/), { minLength: 1, maxLength: 4 }),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(record, { minLength: 1, maxLength: 5 }),
        fc.constantFrom('\n', '\r\n', '\r'),
        fc.array(fc.nat(200), { maxLength: 10 }),
        async (records, end, cuts) => {
          const text = records
            .map(({ id, description, rows }) => [`>${id} ${description}`, ...rows, ''].join(end))
            .join('');
          const places = [0, ...cuts.map((cut) => Math.min(cut, text.length)).sort((a, b) => a - b), text.length];
          const chunks = places.slice(1).map((place, i) => text.slice(places[i], place));
          const got = await parse(...chunks);
          expect(got.map(({ id, description, sequence }) => ({ id, description, sequence }))).toEqual(
            records.map(({ id, description, rows }) => ({ id, description, sequence: rows.join('') })),
          );
          expect(got).toEqual(await parse(text));
        },
      ),
      { numRuns: 200 },
    );
  });

  it.each([
    ['', 'The FASTA file "p.fasta" holds no record. Check that it is the right file.'],
    ['\n; only a comment\n', 'holds no record'],
    ['\nMKT\n>a\nMKT', '"p.fasta", line 2: a record must begin with ">", but this line begins with "MKT"'],
    ['>a\nMK\nM1T\n', '"p.fasta", line 3: "1" at column 2 is no residue; letters, "*", "-" and "." are. Remove it, or'],
    ['>a\n  MK\u{1F600}T', 'line 2: "\u{1F600}" at column 5'],
    ['>a\n>b\nMKT', '"p.fasta", line 1: record "a" has no sequence'],
    ['>a\nMKT\n>b', 'line 3: record "b" has no sequence'],
    ['>\nMKT', '"p.fasta", line 1: the header has no id'],
    ['> a\nMKT', 'the header has no id'],
  ])('explains what is wrong with %j', async (text, message) => {
    const error = await parse(text).catch((cause: unknown) => cause);
    expect(error).toBeInstanceOf(OnnxLoraError);
    expect(error).toMatchObject({ code: 'DATA_INVALID', message: expect.stringContaining(message) });
  });

  it('stops at a sequence or a line that has no end', async () => {
    const piece = 'A'.repeat(2 ** 20);
    function* endless(separator: string): Generator<string> {
      yield '>a\n';
      for (;;) yield piece + separator;
    }
    for (const [separator, place] of [
      ['', 'line 2: the line has more than'],
      ['\n', 'line 18: longer than'],
    ] as const) {
      await expect(all(parseFasta(endless(separator), 'p.fasta'))).rejects.toMatchObject({
        code: 'DATA_INVALID',
        message: expect.stringContaining(`"p.fasta", ${place} ${MAX_SEQUENCE} characters`),
      });
    }
  });

  it('hands out a record before it asks for the rest', async () => {
    async function* chunks(): AsyncGenerator<string> {
      yield '>a\nMK\n>b\n';
      throw new Error('read too far');
    }
    const records = parseFasta(chunks(), 'p.fasta');
    expect((await records.next()).value).toMatchObject({ id: 'a', sequence: 'MK' });
    await expect(records.next()).rejects.toThrow('read too far');
  });
});

describe('readFasta', () => {
  it('reads a file, and names one that it cannot read', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'onnx-lora-fasta-'));
    try {
      const file = join(folder, 'a.fasta');
      const sequence = 'MKTAYIAKQR'.repeat(20_000);
      await writeFile(file, `>long é\n${sequence.replace(/.{60}/g, '$&\n')}\n>b\nMK`);
      expect(await all(readFasta(file))).toEqual([
        { id: 'long', description: 'é', sequence, line: 1 },
        { id: 'b', description: '', sequence: 'MK', line: 3336 },
      ]);
      // Two members, as bgzip writes them.
      const compressed = Buffer.concat([gzipSync('>a\nMK'), gzipSync('T\n>b\nAY\n')]);
      await writeFile(file, compressed);
      expect(await all(readFasta(file))).toMatchObject([{ sequence: 'MKT' }, { sequence: 'AY' }]);
      await writeFile(file, compressed.subarray(0, -9));
      await expect(all(readFasta(file))).rejects.toMatchObject({
        code: 'DATA_INVALID',
        message: expect.stringContaining('cannot be decompressed'),
      });
      await expect(all(readFasta(join(folder, 'none')))).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
      await expect(all(readFasta(folder))).rejects.toMatchObject({ code: 'DATA_INVALID' });
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  const proteins = fileURLToPath(new URL('../../../../../../shared/data/proteins/uniprot.fasta', import.meta.url));
  it.skipIf(!existsSync(proteins))(
    'reads 2123 UniProt entries of 30 to 300 residues (needs ../shared beside the checkout)',
    async () => {
      const records = await all(readFasta(proteins));
      expect(records).toHaveLength(2123);
      const lengths = records.map(({ sequence }) => sequence.length);
      expect([Math.min(...lengths) >= 30, Math.max(...lengths) <= 300]).toEqual([true, true]);
      expect(records[0]).toMatchObject({ id: 'tr|A7YWM6|A7YWM6_BOVIN', line: 1 });
    },
  );
});
