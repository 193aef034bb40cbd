/** @file Tests of reading sequences one by one. */

import { createReadStream, existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { dataFolder } from '../../../sequences/src/fixtures/dataFolder.ts';
import { readSequenceData } from './readSequenceData.ts';
import type { SequenceDataOptions } from './sequenceRecord.ts';
import { type StreamedSequence, streamSequences } from './streamSequences.ts';

async function all(
  source: string | AsyncIterable<Uint8Array>,
  options?: SequenceDataOptions,
): Promise<StreamedSequence[]> {
  const found: StreamedSequence[] = [];
  for await (const each of streamSequences(source, options)) found.push(each);
  return found;
}

/** Bytes in pieces, and whether they were let go of. */
function bytesOf(
  text: string | Uint8Array,
  size = 5,
): AsyncIterable<Uint8Array> & { isClosed: boolean; given: number } {
  const bytes = Buffer.from(text);
  const source = {
    isClosed: false,
    given: 0,
    async *[Symbol.asyncIterator]() {
      try {
        for (let at = 0; at < bytes.length; at += size) {
          source.given += size;
          yield bytes.subarray(at, at + size);
        }
      } finally {
        source.isClosed = true;
      }
    },
  };
  return source;
}

const sequences = (found: readonly StreamedSequence[]): string[] => found.map(({ record }) => record.sequence);

describe('a stream gives what reading at once does', () => {
  test.each<[string, Record<string, string | Uint8Array>, SequenceDataOptions]>([
    ['FASTA', { 'd.fasta': '>a x\nmk\nT\n>b\nMR-T*\n' }, {}],
    ['FASTA by gzip', { 'd.fasta.gz': gzipSync('>a x\nmk\nT\n>b\nMR-T*\n') }, {}],
    ['FASTQ', { 'd.fastq': '@a\nACGU\n+\nIIII\n' }, { alphabet: 'dna' }],
    ['Stockholm', { 'd.sto': '# STOCKHOLM 1.0\na M-KT\nb MKKT\n//\n' }, {}],
    ['CSV', { 'd.csv': 'id,sequence,second\na,MKT,GAV\nb,MRT,GAL\n' }, {}],
    ['JSONL', { 'd.jsonl': '{"seq":"MKT"}\n\n{"seq":"MRT","extra":"x"}\n' }, {}],
    ['mutations', { 'd.csv': 'mutant\nK2R\nWT\n', 'wt.fasta': '>w\nMKTAY\n' }, {}],
    ['mutated sequences', { 'd.csv': 'mutant,mutated_sequence\nK2R,MRTAY\nA4G,MKTGY\n' }, {}],
    ['variants', { 'd.fasta': '>a\nMRTAY\n' }, { wildType: 'MKTAY' }],
    ['letters that do not belong', { 'd.fasta': '>a\nM1\n>b\nMKT\n' }, { illegal: 'skip' }],
  ])('%s', async (_, content, options) => {
    const file = join(dataFolder(content), Object.keys(content)[0]!);
    const { train, wildType } = await readSequenceData(file, options);
    const found = await all(file, options);
    expect(found.map(({ record }) => record)).toEqual(train);
    expect(found.at(-1)!.wildType).toBe(wildType);
    const { total, read } = found.at(-1)!;
    expect(read).toBe(total);
    expect(read).toBe(Buffer.from(content[Object.keys(content)[0]!]!).length);
  });
});

test('bytes that come from elsewhere are known by how they begin', async () => {
  const expected = ['MKT', 'MRT'];
  for (const text of [
    '>a\nMKT\n>b\nMRT',
    '@a\nMKT\n+\nIII\n@b\nMRT\n+\nIII',
    'name,sequence\na,MKT\nb,MRT',
    'sequence\nMKT\nMRT',
    '{"sequence":"MKT"}\n{"sequence":"MRT"}',
    'MKT a\nMRT b',
    '# STOCKHOLM 1.0\na MKT\nb MRT\n//',
    gzipSync('>a\nMKT\n>b\nMRT\n'),
  ]) {
    const found = await all(bytesOf(text));
    expect(sequences(found)).toEqual(expected);
    expect(found[0]!.total).toBeUndefined();
  }
});

test('a JSON list is refused with what to write', async () => {
  await expect(all(bytesOf('[\n {"sequence":"MKT"}]'))).rejects.toThrow('"the input" is a JSON list, which cannot');
  const ions = await all(bytesOf('[Na+].[Cl-] salt\nC(=O)O acid'));
  expect(sequences(ions)).toEqual(['[Na+].[Cl-]', 'C(=O)O']);
});

test('reads no further than it is asked, and lets go of its source', async () => {
  const record = `>a\n${'MKTAYIAK'.repeat(10)}\n`;
  for (const text of [record.repeat(5000), gzipSync(record.repeat(200_000))]) {
    const source = bytesOf(text, 1000);
    let count = 0;
    for await (const _ of streamSequences(source)) if (++count === 300) break;
    await vi.waitFor(() => expect(source.isClosed).toBe(true));
    // A few pieces are on their way, however large the source is.
    expect(source.given).toBeLessThan(text.length / 2);
  }
  const broken = bytesOf(`${record}>b\nM1\n${record.repeat(1000)}`, 1000);
  await expect(all(broken)).rejects.toThrow('"the input", line 4: "1" at column 2');
  await vi.waitFor(() => expect(broken.isClosed).toBe(true));
  const noColumn = bytesOf(`a,b\n${'1,2\n'.repeat(5000)}`, 1000);
  await expect(all(noColumn)).rejects.toThrow('"the input" has no column for sequences');
  await vi.waitFor(() => expect(noColumn.isClosed).toBe(true));
});

test('what was read never falls, and ends at the whole', async () => {
  const protein = fc.array(fc.constantFrom(...'ACDEFGHIKLMNPQRSTVWY'), { minLength: 1, maxLength: 50 });
  await fc.assert(
    fc.asyncProperty(
      fc.array(protein, { minLength: 1, maxLength: 30 }),
      fc.boolean(),
      fc.integer({ min: 1, max: 100 }),
      async (proteins, isCompressed, size) => {
        const text = proteins.map((letters, i) => `>s${i}\n${letters.join('')}\n`).join('');
        const bytes = isCompressed ? gzipSync(text) : Buffer.from(text);
        const found = await all(bytesOf(bytes, size), { alphabet: 'protein' });
        expect(sequences(found)).toEqual(proteins.map((letters) => letters.join('')));
        const read = found.map((each) => each.read);
        expect(read).toEqual(read.toSorted((a, b) => a - b));
        expect(read.at(-1)).toBe(bytes.length);
      },
    ),
    { numRuns: 50 },
  );
});

const uniprot = fileURLToPath(new URL('../../../../../shared/data/proteins/uniprot.fasta', import.meta.url));
test.skipIf(!existsSync(uniprot))('reads UniProt from a path and from a stream (needs ../shared)', async () => {
  const fromPath = await all(uniprot);
  expect(fromPath).toHaveLength(2123);
  expect(sequences(await all(createReadStream(uniprot)))).toEqual(sequences(fromPath));
});
