/** @file Tests of what letters stand for and how sequences are spelled. */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { AlphabetGuess, spelled } from './letters.ts';
import type { Alphabet } from './sequenceRecord.ts';

function guess(...sequences: string[]): Alphabet {
  const found = new AlphabetGuess();
  for (const each of sequences) found.add(each);
  return found.alphabet;
}

test.each<[Alphabet, string[]]>([
  ['protein', ['MKTAYIAKQR']],
  ['protein', ['VDGV', 'GATC']],
  ['protein', ['MKT*']],
  ['protein', ['M1T', 'MKT']],
  ['protein', ['MKT', 'MKV', 'C1CC1']],
  ['protein', ['CCO', 'MK(T', 'MKT']],
  ['dna', ['ACGTACGTNN', 'acgtnn']],
  ['dna', ['ACGTACGTACGTACGTACGR']],
  ['rna', ['ACGUACGU']],
  ['smiles', ['CCO', 'c1ccccc1']],
  ['smiles', ['CC(=O)N', '[Na+].[Cl-]', 'FC(Br)Cl', 'C[C@@H](N)C(=O)O', 'Mn']],
  ['smiles', ['C#N']],
])('%s: %j', (alphabet, sequences) => {
  expect(guess(...sequences)).toBe(alphabet);
});

describe('a sequence is spelled as models know it', () => {
  test.each<[Alphabet, string, string]>([
    ['protein', 'mkt', 'MKT'],
    ['protein', 'M-K.T', 'MKT'],
    ['protein', 'M K T', 'MKT'],
    ['protein', 'MKT*', 'MKT'],
    ['dna', 'acgu', 'ACGT'],
    ['rna', 'ACGT', 'ACGU'],
    ['smiles', 'c1ccccc1.[Na+]', 'c1ccccc1.[Na+]'],
  ])('%s %s', (alphabet, given, text) => {
    expect(spelled(given, alphabet)).toMatchObject({ text });
  });

  test.each<[Alphabet, string, string, number]>([
    ['protein', 'M-KT1A', '1', 5],
    ['protein', 'MK*TA*', '*', 3],
    ['dna', 'ACGE', 'E', 4],
    ['dna', 'ac ge', 'e', 5],
    ['rna', 'ACGZ', 'Z', 4],
    ['smiles', 'CCO ethanol', ' ', 4],
    ['protein', 'MK\u{1F600}T', '\u{1F600}', 3],
  ])('%s %j has %j at %i', (alphabet, given, letter, position) => {
    expect(spelled(given, alphabet)).toEqual({ letter, position });
  });

  test('what is legal stays, whatever stands in between', () => {
    const residues = fc.array(fc.constantFrom(...'ABCDEFGHIJKLMNOPQRSTUVWXYZ'), { minLength: 1 });
    fc.assert(
      fc.property(residues, fc.array(fc.constantFrom('-', '.', ' '), { minLength: 3 }), (protein, between) => {
        const text = protein.map((letter, i) => letter + between[i % between.length]!).join('');
        expect(spelled(text.toLowerCase(), 'protein')).toMatchObject({ text: protein.join('') });
      }),
    );
  });
});
