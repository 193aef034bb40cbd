/** @file Tests of likeness and clusters against alignments of all with all by parasail. */

import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { clusterSequences } from './clusterSequences.ts';
import { SimilarSequences } from './similarSequences.ts';
import { LocalAligner } from './localAlignment.ts';
import { codesOf, scoringOf } from './scoring.ts';

const golden = JSON.parse(readFileSync(new URL('../../fixtures/alikeProteins.json', import.meta.url), 'utf8')) as {
  sequences: string[];
  /** Two numbers of sequences, the score of their local alignment, and how many letters are identical in it. */
  pairs: [number, number, number, number][];
};
const { sequences, pairs } = golden;
const scoring = scoringOf('protein');
const identityOf = ([a, b, , identical]: (typeof pairs)[0]): number =>
  identical / Math.min(sequences[a]!.length, sequences[b]!.length);

describe('LocalAligner', () => {
  it('scores as parasail does', () => {
    const aligner = new LocalAligner(scoring);
    let same = 0;
    // Cheaper alignments may lie anywhere, outside of the band.
    const near = pairs.filter(([, , score]) => score > 100);
    expect(near.length).toBe(74);
    for (const [a, b, score, identical] of near) {
      const [one, other] = [codesOf(sequences[a]!, scoring), codesOf(sequences[b]!, scoring)];
      const found = aligner.align(one, other, 0);
      expect(found.score).toBe(score);
      expect(aligner.align(other, one, 0)).toEqual(found);
      // Among alignments of equal score, ours has the most identical letters; parasail takes any.
      expect(found.identical).toBeGreaterThanOrEqual(identical);
      if (found.identical === identical) same++;
    }
    expect(same / near.length).toBeGreaterThan(0.85);
  });

  it('finds an alignment far from the middle', () => {
    const [piece, before] = [sequences[0]!, sequences[1]!.repeat(4)];
    const aligner = new LocalAligner(scoring);
    const [a, b] = [codesOf(piece, scoring), codesOf(before + piece, scoring)];
    expect(aligner.align(a, b, before.length).identical).toBe(piece.length);
    expect(aligner.align(b, a, -before.length).identical).toBe(piece.length);
    expect(aligner.align(b, a, -before.length - 400)).toEqual({ score: 0, identical: 0 });
  });

  it('takes unknown letters for identical to nothing', () => {
    const aligner = new LocalAligner(scoring);
    const codes = codesOf('WWWWXXBZ*UWWWW', scoring);
    expect(aligner.align(codes, codes, 0).identical).toBe(9);
  });
});

describe('LikeSequences', () => {
  it('finds the pairs that an alignment of all with all finds', () => {
    const known = new SimilarSequences('protein', 0.3, 8000);
    for (const sequence of sequences) known.add(known.codes(sequence));
    const found = new Set<string>();
    sequences.forEach((sequence, i) => {
      for (const { number } of known.like(known.codes(sequence))) if (number !== i) found.add(`${i} ${number}`);
    });
    const expected = pairs.filter((pair) => identityOf(pair) >= 0.3);
    expect(expected.length).toBe(86);
    const missed = expected.filter(([a, b]) => !found.has(`${a} ${b}`));
    expect(missed.length).toBeLessThanOrEqual(2);
    // Nothing else is found, but for alignments that have more identical letters at the same score.
    const real = new Set(pairs.flatMap(([a, b]) => [`${a} ${b}`, `${b} ${a}`]));
    expect([...found].filter((pair) => !real.has(pair))).toEqual([]);
  });
});

describe('clusterSequences', () => {
  const across = (clusters: readonly number[], identity: number): number =>
    pairs.filter((pair) => identityOf(pair) >= identity && clusters[pair[0]] !== clusters[pair[1]]).length;

  it('finds the twelve families', () => {
    const clusters = clusterSequences(sequences, { identity: 0.3, like: 'member' });
    expect(across(clusters, 0.3)).toBe(0);
    // Relatives of relatives are below the threshold in some families: as many as single linkage of all pairs finds.
    expect(new Set(clusters).size).toBe(linked(0.3));
  });

  function linked(identity: number): number {
    const sets = sequences.map((_, i) => i);
    for (const pair of pairs) {
      if (identityOf(pair) < identity) continue;
      const [a, b] = [sets[pair[0]]!, sets[pair[1]]!];
      sets.forEach((set, i) => (sets[i] = set === a ? b : set));
    }
    return new Set(sets).size;
  }

  it('calls a cluster by its longest sequence, which all of it are like', () => {
    const identities = new Map(pairs.flatMap((pair) => [[`${pair[0]} ${pair[1]}`, pair] as const]));
    fc.assert(
      fc.property(fc.double({ min: 0.2, max: 1, noNaN: true }), (identity) => {
        const clusters = clusterSequences(sequences, { identity });
        clusters.forEach((cluster, i) => {
          expect(clusters[cluster]).toBe(cluster);
          if (cluster === i) return;
          expect(sequences[cluster]!.length).toBeGreaterThanOrEqual(sequences[i]!.length);
          const pair = identities.get(`${Math.max(i, cluster)} ${Math.min(i, cluster)}`)!;
          // Ties between alignments are worth a few letters.
          expect(identityOf(pair)).toBeGreaterThan(identity - 0.05);
        });
      }),
      { numRuns: 20 },
    );
  });

  const shuffledSequences = fc.shuffledSubarray([...sequences, ...sequences.slice(0, 9)], { minLength: 40 });

  it.each(['representative', 'member'] as const)('by %s does not depend on the order', (like) => {
    fc.assert(
      fc.property(shuffledSequences, (some) => {
        const names = (list: readonly string[]): Map<string, string> => {
          const clusters = clusterSequences(list, { identity: 0.4, like });
          return new Map(list.map((sequence, i) => [sequence, list[clusters[i]!]!]));
        };
        expect(names(some.toReversed())).toEqual(names(some));
      }),
      { numRuns: 15 },
    );
  });

  it('keeps duplicates, peptides and sequences without words', () => {
    const peptide = 'GIGAVLKVLTTGLPALISW';
    const list = ['AA', peptide, 'AA', `${peptide.slice(0, -1)}A`, 'XXXXXXXX', 'XXXXXXXX', ''];
    expect(clusterSequences(list, { identity: 0.9 })).toEqual([0, 3, 0, 3, 4, 4, 6]);
  });

  it('puts DNA and RNA of 80% together', () => {
    const random = fc.sample(fc.array(fc.constantFrom(...'ACGT'), { minLength: 300, maxLength: 300 }), {
      numRuns: 4,
      seed: 3,
    });
    const sets = (clusters: readonly number[]): number[] => clusters.map((cluster) => clusters.indexOf(cluster));
    const changed = (bases: readonly string[], every: number): string =>
      bases.map((base, i) => (i % every === every - 1 ? (base === 'A' ? 'C' : 'A') : base)).join('');
    const list = random.flatMap((bases) => [bases.join(''), changed(bases, 8), changed(bases, 3)]);
    expect(sets(clusterSequences(list, { alphabet: 'dna' }))).toEqual([0, 0, 2, 3, 3, 5, 6, 6, 8, 9, 9, 11]);
    const rna = list.map((sequence, i) => (i % 3 === 1 ? sequence.replaceAll('T', 'U') : sequence));
    expect(sets(clusterSequences(rna, { alphabet: 'rna' }))).toEqual([0, 0, 2, 3, 3, 5, 6, 6, 8, 9, 9, 11]);
  });

  it('finds likes among repeats, and nothing else by them', () => {
    const random = fc.sample(fc.array(fc.constantFrom(...'ACGT'), { minLength: 120, maxLength: 120 }), { numRuns: 3, seed: 5 }); // prettier-ignore
    const [a, b, c] = random.map((bases) => bases.join('')) as [string, string, string];
    for (const repeat of ['A', 'AC', 'TTAGGG']) {
      const tail = repeat.repeat(10);
      const list = [a + tail, b + tail, c + tail, `${a.slice(3)}${tail}A`, repeat.repeat(30), repeat.repeat(31)];
      const clusters = clusterSequences(list, { alphabet: 'dna', identity: 0.9 });
      expect(clusters.map((cluster) => clusters.indexOf(cluster))).toEqual([0, 1, 2, 0, 4, 4]);
    }
  });

  it('refuses what is no share', () => {
    for (const identity of [0, 1.1, NaN, 30]) {
      expect(() => clusterSequences(['A'], { identity })).toThrow(/identity is .* such as 0\.3/);
    }
  });
});
