/** @file Tests of the readers of FASTQ, A3M, Stockholm and plain lists, against biopython and by properties. */

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { OnnxLoraError } from '@onnx-lora/sdk';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseA3m } from './fasta.ts';
import type { TextPieces } from '@onnx-lora/sdk/data';
import { parseFastq } from './fastq.ts';
import { parsePlainLines } from '../sequenceRecords.ts';
import { parseStockholm } from './stockholm.ts';

const folder = fileURLToPath(new URL('../../fixtures/alignments/', import.meta.url));
const text = (name: string): string => readFileSync(`${folder}${name}`, 'utf8');
const golden = JSON.parse(text('biopython.json')) as Record<'stockholm' | 'fastq', object[]>;

/** The text in pieces of a few characters, which cut lines and line ends. */
function* pieces(whole: string, size = 7): Generator<string> {
  for (let at = 0; at < whole.length; at += size) yield whole.slice(at, at + size);
}

async function all<T extends { line: number }>(records: AsyncIterable<T>): Promise<Omit<T, 'line'>[]> {
  const found: Omit<T, 'line'>[] = [];
  for await (const { line: _, ...record } of records) found.push(record);
  return found;
}

test('FASTQ is read as biopython reads it, quality lines that begin with @ and + among them', async () => {
  expect(golden.fastq).toHaveLength(6);
  expect(await all(parseFastq(pieces(text('reads.fastq')), 'r.fq'))).toEqual(golden.fastq);
  const withReturns = text('reads.fastq').replaceAll('\n', '\r\n');
  expect(await all(parseFastq(pieces(withReturns), 'r.fq'))).toEqual(golden.fastq);
});

test('Stockholm is read as biopython reads it, in blocks, several alignments and structures', async () => {
  expect(golden.stockholm).toHaveLength(9);
  const found = await all(parseStockholm(pieces(text('two.sto')), 'a.sto'));
  // Biopython writes all gaps as "-".
  expect(found.map((each) => ({ ...each, aligned: each.aligned.replaceAll('.', '-') }))).toEqual(golden.stockholm);
});

test('A3M gives sequences as they are in nature, and by the columns of the first', async () => {
  const residue = fc.constantFrom(...'ACDEFGHIKLMNPQRSTVWY');
  // A column of each row: a residue or a gap, and insertions or dots before it.
  const cell = fc.tuple(
    fc.option(residue, { freq: 3 }),
    fc.array(fc.oneof(residue, fc.constant('.')), { maxLength: 2 }),
  );
  const alignment = fc
    .integer({ min: 1, max: 12 })
    .chain((columns) =>
      fc.array(fc.array(cell, { minLength: columns, maxLength: columns }), { minLength: 1, maxLength: 4 }),
    )
    .filter((rows) => rows.every((row) => row.some(([letter]) => letter !== null)));
  await fc.assert(
    fc.asyncProperty(alignment, fc.integer({ min: 1, max: 20 }), async (rows, width) => {
      const written = rows
        .map((row, i) => {
          const line = row.map(([letter, inserted]) => inserted.join('').toLowerCase() + (letter ?? '-')).join('');
          return `>s${i} d\n${line.replaceAll(new RegExp(`.{${width}}`, 'g'), '$&\n')}\n`;
        })
        .join('');
      const sequences = async (form: 'ungapped' | 'aligned'): Promise<string[]> =>
        (await all(parseA3m(pieces(`>ss_pred\nHHHE\n>ss_conf\n0987\n${written}`), 'a.a3m', { form }))).map(
          ({ sequence }) => sequence,
        );
      expect(await sequences('ungapped')).toEqual(
        rows.map((row) =>
          row.map(([letter, inserted]) => inserted.join('').replaceAll('.', '') + (letter ?? '')).join(''),
        ),
      );
      expect(await sequences('aligned')).toEqual(rows.map((row) => row.map(([letter]) => letter ?? '-').join('')));
    }),
    { numRuns: 60 },
  );
});

test('a list has a sequence on each line, and a name after it', async () => {
  const lines = '# made by hand\nCCO\tethanol\n\nc1ccccc1  benzene ring \nO';
  expect(await all(parsePlainLines(pieces(lines, 3), 'a.smi'))).toEqual([
    { sequence: 'CCO', id: 'ethanol' },
    { sequence: 'c1ccccc1', id: 'benzene ring' },
    { sequence: 'O' },
  ]);
});

test('blanks in a name take no time with the square of their number', async () => {
  const name = `a${' '.repeat(400_000)}b`;
  expect(await all(parsePlainLines([`C ${name}\nO`], 'a.smi'))).toEqual([
    { sequence: 'C', id: name },
    { sequence: 'O' },
  ]);
});

test("lines before an alignment's first record are passed over, as ColabFold writes them", async () => {
  const found = await all(parseA3m(pieces('#5\t1\n>q\nMKT\n>h\nM-aT\n'), 'a.a3m'));
  expect(found.map(({ sequence }) => sequence)).toEqual(['MKT', 'MAT']);
  await expect(all(parseA3m(pieces('>q\nMKT\n#5\n'), 'a.a3m'))).rejects.toThrow('"a.a3m", line 3: "#"');
});

test.each(['a', '#=GR a SS'])('a row of Stockholm that has no end is refused: %s', async (name) => {
  const block = `${name} ${'H'.repeat(2 ** 22)}\n`;
  const whole = ['# STOCKHOLM 1.0\n', block, block, block, block, `${name} H\n//\n`];
  await expect(all(stockholm(whole))).rejects.toThrow('"a.sto", line 6: longer than 16777216 characters');
});

const fastq = (whole: TextPieces): AsyncIterable<{ line: number }> => parseFastq(whole, 'r.fq');
const stockholm = (whole: TextPieces): AsyncIterable<{ line: number }> => parseStockholm(whole, 'a.sto');
const plain = (whole: TextPieces): AsyncIterable<{ line: number }> => parsePlainLines(whole, 'a.smi');

describe('what is wrong is named with its line', () => {
  test.each([
    [fastq, '', 'The FASTQ file "r.fq" holds no record'],
    [fastq, 'r1\nAC\n+\nII\n', 'line 1: a record must begin with "@" and an id'],
    [fastq, '@ r1\nAC\n+\nII\n', 'line 1: a record must begin with "@" and an id'],
    [fastq, '@r1\nAC\nGT\n+\nIIII\n', 'line 3: "+" is expected after the sequence, but this line begins with "GT"'],
    [fastq, '@r1\nACG\n+\nII\n', 'line 4: record "r1" has 2 qualities for 3 letters'],
    [fastq, '@r1\nAC\n+\nII\n@r2\nAC', 'line 5: record "r2" ends early'],
    [fastq, '@r1\n\n+\n\n', 'line 1: record "r1" has no sequence'],
    [stockholm, '', 'The Stockholm file "a.sto" holds no sequence'],
    [stockholm, 'a MKT\n', 'line 1: an alignment must begin with "# STOCKHOLM 1.0"'],
    [stockholm, '# STOCKHOLM 1.0\na MKT\n', 'does not end with "//"'],
    [stockholm, '# STOCKHOLM 1.0\na MKT\n# STOCKHOLM 1.0\n', 'line 3: the alignment before does not end'],
    [stockholm, '# STOCKHOLM 1.0\nMKT\n//\n', 'line 2: a name and its aligned letters are expected'],
    [stockholm, '# STOCKHOLM 1.0\na MK1\n//\n', 'line 2: "1" is no residue and no gap'],
    [stockholm, '# STOCKHOLM 1.0\na --.\n//\n', 'line 2: "a" has nothing but gaps'],
    [stockholm, '# STOCKHOLM 1.0\na MKT\n#=GR a SS HH\n//\n', 'line 2: "a" has 3 columns, but its structure'],
    [plain, '# nothing\n\n', '"a.smi" holds no sequence'],
  ])('%o %j', async (parse, whole, message) => {
    const error: unknown = await all(parse([whole])).catch((cause: unknown) => cause);
    expect(error).toBeInstanceOf(OnnxLoraError);
    expect(error).toMatchObject({ code: 'DATA_INVALID', message: expect.stringContaining(message) });
  });
});

test('any text is read, or refused with its name', async () => {
  const piece = fc.constantFrom(
    '@',
    '>',
    '+',
    '\n',
    '\r',
    'ACD',
    '# STOCKHOLM 1.0\n',
    '#=GR a SS ',
    'a ',
    '//',
    '-',
    '1',
    ' ',
  );
  const parsers = fc.constantFrom(fastq, stockholm, plain, (whole: TextPieces) => parseA3m(whole, 'a.a3m'));
  await fc.assert(
    fc.asyncProperty(parsers, fc.array(piece, { maxLength: 30 }), async (parse, parts) => {
      const error: unknown = await all(parse(parts)).then(
        () => undefined,
        (cause: unknown) => cause,
      );
      if (error === undefined) return;
      expect(error).toBeInstanceOf(OnnxLoraError);
      expect((error as OnnxLoraError).message).toMatch(/"(?:r\.fq|a\.sto|a\.smi|a\.a3m)"/);
    }),
    { numRuns: 300 },
  );
});
