/** @file Tests that sequences of another kind than the model's are told. */

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { EsmTokenizer } from '@onnx-lora/sequences';
import { unknownLetterWarnings } from './unknownLetterWarnings.ts';

const vocabulary = readFileSync(fileURLToPath(new URL('../fixtures/esmMasked/vocab.txt', import.meta.url)), 'utf8');
const esm = new EsmTokenizer(vocabulary.trimEnd().split('\n'));
const warnings = (...sequences: string[]): string[] =>
  unknownLetterWarnings(
    esm,
    sequences.map((sequence, i) => ({ id: String(i), sequence, where: `a.fasta, line ${2 * i + 1}` })),
  );

test('genes for a model of proteins, and letters that it does not know, are told', () => {
  expect(warnings('ATGGCTTGCAAAGGTTCA'.repeat(4))).toEqual([
    expect.stringMatching(/^The sequences look like DNA \(a\.fasta, line 1\), but the model reads proteins/),
  ]);
  expect(warnings('CC(=O)Oc1ccccc1C(=O)O')).toEqual([expect.stringMatching(/^\d+% of the tokens .* are unknown/)]);
});

test('proteins, short peptides of few kinds, and rare unknown letters are fine', () => {
  expect(warnings('MKTAYIAKQRQISFVKSHFSRQ', 'ACGACGGGA')).toEqual([]);
  expect(warnings('GAGCAGTACG')).toEqual([]);
  expect(warnings('MKTAYIAKQRQISJVKSHFSRQ')).toEqual([]);
  expect(warnings()).toEqual([]);
});
