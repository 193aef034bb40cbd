/** @file Holds error rates against jiwer's, and alignments against the definition of the edit distance. */

import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { differenceOf, intervalsOf } from '../../statistics/bootstrap.ts';
import { align, countEdits } from './edits.ts';
import { ErrorCounter, wordErrors } from './wordErrors.ts';

type Counts = Record<'hits' | 'substitutions' | 'deletions' | 'insertions', number>;
type Pair = Record<'reference' | 'hypothesis', string> &
  Record<'wer' | 'mer' | 'wil' | 'cer', number> & { words: Counts; characters: Counts };
const read = <T>(name: string): T =>
  JSON.parse(readFileSync(new URL(`../../../fixtures/text/${name}.json`, import.meta.url), 'utf8')) as T;
const golden = read<{ pairs: Pair[]; corpus: { wer: number; cer: number } }>('wer');

describe('error rates', () => {
  it('are those of jiwer, with its counts', () => {
    expect(golden.pairs).toHaveLength(22);
    for (const { reference, hypothesis, words, characters, ...rates } of golden.pairs) {
      const found = wordErrors([reference], [hypothesis]);
      for (const name of ['wer', 'mer', 'wil', 'cer'] as const) expect(found[name]).toBeCloseTo(rates[name], 12);
      expect([found.words, found.characters]).toEqual([words, characters]);
    }
  });

  it('are over the corpus, not the mean over utterances', () => {
    const { pairs, corpus } = golden;
    const found = wordErrors(pairs.map(({ reference }) => reference), pairs.map(({ hypothesis }) => hypothesis)); // prettier-ignore
    expect(found.wer).toBeCloseTo(corpus.wer, 12);
    expect(found.cer).toBeCloseTo(corpus.cer, 12);
    expect(found.utterances).toBe(22);
  });

  it('leave out references that have no word, and count them', () => {
    const counter = new ErrorCounter((text) => text.toLowerCase().replace(/[^a-z ]/g, ''));
    counter.add('…', 'you');
    expect(() => counter.rates()).toThrow(/none of 1 transcripts has a word/);
    counter.add('One two.', 'one too');
    expect(counter.rates()).toMatchObject({ wer: 0.5, cer: 1 / 7, utterances: 1, skipped: 1 });
    expect(() => wordErrors([], [])).toThrow(/no transcript was given/);
    expect(() => wordErrors(['a'], [])).toThrow(/1 references and 0 hypotheses/);
  });
});

describe('intervals of error rates', () => {
  const { pairs } = golden;
  const counted = (heard: (pair: Pair, i: number) => string): ErrorCounter => {
    const counter = new ErrorCounter();
    for (const [i, pair] of pairs.entries()) counter.add(pair.reference, heard(pair, i));
    return counter;
  };
  const edits = ({ substitutions, deletions, insertions }: Counts): number => substitutions + deletions + insertions;
  const said = ({ hits, substitutions, deletions }: Counts): number => hits + substitutions + deletions;

  it.each([
    ['wer', 'words'],
    ['cer', 'characters'],
  ] as const)('%s: are those of sets drawn from the counts of jiwer', (name, kind) => {
    // A generator of its own: MINSTD, Park and Miller 1988.
    let state = 7;
    const below = (n: number): number => Math.floor(((state = (state * 48_271) % 2_147_483_647) / 2_147_483_647) * n);
    const rates = Float64Array.from({ length: 20_000 }, () => {
      const drawn = pairs.map(() => pairs[below(pairs.length)]![kind]);
      return drawn.reduce((sum, each) => sum + edits(each), 0) / drawn.reduce((sum, each) => sum + said(each), 0);
    }).sort();
    const counter = counted(({ hypothesis }) => hypothesis);
    counter.add('', 'a reference without a word is no utterance');
    const draws = counter.draws();
    expect(draws[name]!.units).toBe(22);
    const [low, high] = intervalsOf(draws)[name]!;
    const [expectedLow, expectedHigh] = [rates[500]!, rates[19_500]!];
    const width = expectedHigh - expectedLow;
    expect(Math.abs(low - expectedLow)).toBeLessThan(0.06 * width);
    expect(Math.abs(high - expectedHigh)).toBeLessThan(0.06 * width);
  });

  it('of a difference are of the same sets: what only gets better is never worse', () => {
    const worst = pairs.reduce((most, each, i) => (edits(each.words) > edits(pairs[most]!.words) ? i : most), 0);
    const [base, better] = [({ hypothesis }: Pair) => hypothesis, ({ reference, hypothesis }: Pair, i: number) => (i === worst ? reference : hypothesis)].map(counted); // prettier-ignore
    const { units, values } = differenceOf(better!.draws()['wer'], base!.draws()['wer'])!;
    expect(units).toBe(22);
    expect(Math.max(...values)).toBe(0);
    // A set lacks one of 22 utterances with this probability.
    const share = values.filter((value) => value === 0).length / values.length;
    expect(Math.abs(share - (21 / 22) ** 22)).toBeLessThan(0.05);
  });

  it('are none of fewer than two utterances', () => {
    expect(new ErrorCounter().draws()).toEqual({});
  });
});

/** The definition, by recursion. */
function distance(a: readonly string[], b: readonly string[]): number {
  if (a.length === 0 || b.length === 0) return a.length + b.length;
  const [restA, restB] = [a.slice(1), b.slice(1)];
  if (a[0] === b[0]) return distance(restA, restB);
  return 1 + Math.min(distance(restA, restB), distance(restA, b), distance(a, restB));
}

describe('alignments', () => {
  it('are those of jiwer where several are as good', () => {
    const cases = read<[reference: string, hypothesis: string, kinds: string][]>('alignments');
    expect(cases).toHaveLength(80);
    const letters = { hit: 'e', substitution: 's', deletion: 'd', insertion: 'i' };
    for (const [reference, hypothesis, kinds] of cases) {
      const pieces = align(reference.split(' '), hypothesis.split(' ').filter(Boolean));
      expect(pieces.map(({ kind }) => letters[kind]).join('')).toBe(kinds);
    }
  });

  it('are as good in parts, which long sequences need', () => {
    const long = fc.array(fc.constantFrom('a', 'b', 'c', 'd'), { maxLength: 60 });
    fc.assert(
      fc.property(long, long, (a, b) => {
        const pieces = align(a, b, 30);
        expect(pieces.flatMap(({ reference = [] }) => reference)).toEqual(a);
        expect(pieces.flatMap(({ hypothesis = [] }) => hypothesis)).toEqual(b);
        const { substitutions, deletions, insertions } = countEdits(a, b);
        expect(pieces.filter(({ kind }) => kind !== 'hit')).toHaveLength(substitutions + deletions + insertions);
      }),
    );
  });

  const words = fc.array(fc.constantFrom('a', 'b', 'c'), { maxLength: 6 });

  it('have the fewest edits, and both sequences in their order', () => {
    fc.assert(
      fc.property(words, words, (a, b) => {
        const pieces = align(a, b);
        expect(pieces.flatMap(({ reference = [] }) => reference)).toEqual(a);
        expect(pieces.flatMap(({ hypothesis = [] }) => hypothesis)).toEqual(b);
        const kinds = pieces.map(({ kind }) => kind);
        expect(kinds.filter((kind) => kind !== 'hit')).toHaveLength(distance(a, b));
        for (const { kind, reference, hypothesis } of pieces) expect(kind === 'hit').toBe(reference === hypothesis);
        const count = (kind: string): number => kinds.filter((each) => each === kind).length;
        expect(countEdits(a, b)).toEqual({
          hits: count('hit'),
          substitutions: count('substitution'),
          deletions: count('deletion'),
          insertions: count('insertion'),
        });
      }),
    );
  });
});
