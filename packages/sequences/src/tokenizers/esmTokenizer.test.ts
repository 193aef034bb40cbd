/** @file Tests of ESM's tokenizer against transformers' own encodings. */

import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EsmTokenizer } from './esmTokenizer.ts';

const fixtures = fileURLToPath(new URL('../fixtures/', import.meta.url));
const golden = JSON.parse(readFileSync(join(fixtures, 'encodings.json'), 'utf8')) as {
  encodings: { text: string; ids: number[] }[];
  truncated: { text: string; max_length: number; input_ids: number[] };
};
const vocabulary = readFileSync(join(fixtures, 'vocab.txt'), 'utf8').split('\n');
const tokenizer = new EsmTokenizer(vocabulary);

describe('EsmTokenizer', () => {
  it('encodes as transformers does', () => {
    expect(golden.encodings).toHaveLength(41);
    for (const { text, ids } of golden.encodings) expect(tokenizer.encode(text), JSON.stringify(text)).toEqual(ids);
  });

  it('makes one <unk> of a run of unknown letters, and one for each where they are apart', () => {
    expect(tokenizer.encode('mkJ*')).toEqual([0, 3, 2]);
    expect(tokenizer.encode('m k')).toEqual([0, 3, 3, 2]);
    expect(tokenizer.encode('mAk')).toEqual([0, 3, 5, 3, 2]);
  });

  it('prefers the longest token, and takes none for a pattern', () => {
    const other = new EsmTokenizer(['<cls>', '<pad>', '<eos>', '<unk>', '<mask>', 'A', 'AB', 'A.']);
    expect(other.encode('ABAA.AC')).toEqual([0, 6, 5, 7, 5, 3, 2]);
  });

  it('cuts residues, never <cls> and <eos>', () => {
    const { text, max_length, input_ids } = golden.truncated;
    expect(tokenizer.encode(text, max_length)).toEqual(input_ids);
    expect(tokenizer.encode(text, 2)).toEqual([0, 2]);
    expect(() => tokenizer.encode(text, 1)).toThrow(expect.objectContaining({ code: 'INPUT_INVALID' }));
    expect(() => tokenizer.encode(text, NaN)).toThrow('at least 2');
  });

  it('gives every residue of any protein its own token', () => {
    const residues = [...'LAGVSERTIDPKQNFYMHWCXBUZO.-'];
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...residues), { maxLength: 60 }), (protein) => {
        expect(tokenizer.encode(protein.join(''))).toEqual([
          0,
          ...protein.map((residue) => vocabulary.indexOf(residue)),
          2,
        ]);
      }),
    );
  });

  it('gives valid ids for any text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        for (const id of tokenizer.encode(text)) expect(id >= 0 && id < tokenizer.size).toBe(true);
      }),
    );
  });

  it('reads the vocabulary of a folder', async () => {
    const read = await EsmTokenizer.read(fixtures);
    const { size, clsId, padId, eosId, unkId, maskId } = read;
    expect([size, clsId, padId, eosId, unkId, maskId]).toEqual([33, 0, 1, 2, 3, 32]);
  });

  it('names what is wrong with a vocabulary', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'onnx-lora-esm-'));
    try {
      const file = join(folder, 'vocab.txt');
      await expect(EsmTokenizer.read(folder)).rejects.toMatchObject({
        code: 'FILE_NOT_FOUND',
        message: expect.stringContaining(file),
      });
      const cases: readonly (readonly [string, string])[] = [
        ['<cls>\n<pad>\n<eos>\n<unk>\nA\n', 'no token "<mask>"'],
        ['A\nA\n', 'one different token a line'],
        ['A\n\nB\n', 'one different token a line'],
        ['A'.repeat(2 ** 24 + 1), 'at most 16777216'],
        [Array.from({ length: 70_000 }, (_, i) => `t${i}`).join('\n'), 'at most 65536'],
      ];
      for (const [text, message] of cases) {
        await writeFile(file, text);
        await expect(EsmTokenizer.read(folder)).rejects.toMatchObject({
          code: 'CONFIG_INVALID',
          message: expect.stringContaining(message),
        });
      }
      await writeFile(file, `${vocabulary.join('\r\n')}\r\n`);
      expect((await EsmTokenizer.read(folder)).encode('MKT')).toEqual([0, 20, 15, 11, 2]);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
