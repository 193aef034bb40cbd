/** @file Holds the normalisers against what transformers' own make of the same texts. */

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { basicNormaliser } from './basicNormaliser.ts';
import { englishNormaliser } from './englishNormaliser.ts';

const read = <T>(name: string): T =>
  JSON.parse(readFileSync(new URL(`../../fixtures/text/${name}.json`, import.meta.url), 'utf8')) as T;

const basic = basicNormaliser();
const plain = basicNormaliser({ removeDiacritics: true });
const split = basicNormaliser({ removeDiacritics: true, splitLetters: true });

describe('the normalisers', () => {
  it('write sentences as transformers does', () => {
    const { cases } = read<{ cases: Record<'text' | 'english' | 'basic' | 'split', string>[] }>('normalizer');
    expect(cases).toHaveLength(48);
    for (const { text, ...expected } of cases) {
      expect({ english: englishNormaliser(text), basic: basic(text), split: split(text) }).toEqual(expected);
    }
  });

  it('write what was drawn from number words, symbols and scripts as transformers does', () => {
    const cases = read<string[][]>('generated');
    expect(cases).toHaveLength(160);
    for (const [text, ...expected] of cases as [string, ...string[]][]) {
      const splitAlone = basicNormaliser({ splitLetters: true });
      expect([englishNormaliser, basic, plain, split, splitAlone].map((normalise) => normalise(text))).toEqual(
        expected,
      );
    }
  });

  it('reads numbers as transformers does', () => {
    const cases = read<[text: string, english: string][]>('numbers');
    expect(cases).toHaveLength(300);
    for (const [text, english] of cases) expect(englishNormaliser(text), text).toBe(english);
  });

  it('leave brackets that are never closed as symbols', () => {
    // As transformers' BasicTextNormalizer writes them.
    expect(basic('a [b] c (d) e [f (g')).toBe('a c e f g');
    expect(basic('<a [b] c> () (d')).toBe(' c d');
  });

  it('knows every word by itself, and none by an accident of JavaScript', () => {
    expect(englishNormaliser('constructor __proto__ toString')).toBe('constructor proto tostring');
    expect(englishNormaliser('colour flyer')).toBe('color flyer');
  });
});
