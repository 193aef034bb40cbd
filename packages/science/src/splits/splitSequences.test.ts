/** @file Tests of splits: what stays whole does so, shares are kept, and nothing depends on the order. */

import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Alphabet, SequenceRecord } from '../data/sequenceRecord.ts';
import { clusterSequences } from './similarity/clusterSequences.ts';
import { similarAcrossSplits, similarRecords } from './similarAcrossSplits.ts';
import { type SequenceSplit, splitSequences } from './splitSequences.ts';

const shared = fileURLToPath(new URL('../../../../../shared/data/', import.meta.url));
const { sequences: proteins } = JSON.parse(
  readFileSync(new URL('../fixtures/alikeProteins.json', import.meta.url), 'utf8'),
) as { sequences: string[] };

const record = (sequence: string, i: number, more: Partial<SequenceRecord> = {}): SequenceRecord => ({
  id: `s${i}`,
  sequence,
  where: `d.csv, row ${i + 2}`,
  ...more,
});

/** Variants of one protein with so many mutations each. */
const variants = (counts: readonly number[]): SequenceRecord[] =>
  counts.map((count, i) => {
    const letters = [...'MQYKLILNGKTLKGETTTEAVDAATAEKVFKQYANDNGVDGEWTYDDATKTFTVTE'];
    const substitutions = Array.from({ length: count }, (_, k) => {
      const at = (7 * i + 11 * k) % letters.length;
      const from = letters[at]!;
      letters[at] = 'ACDEFGHIKLMNPQRSTVWY'[(i + k) % 20]!;
      return { from, position: at + 1, to: letters[at] };
    });
    return record(letters.join(''), i, { substitutions });
  });

const ascending = (a: number, b: number): number => a - b;
const idsOf = (records: readonly SequenceRecord[]): string[] => records.map(({ id }) => id).sort();

function expectDivided(records: readonly SequenceRecord[], { kept, held }: SequenceSplit): void {
  expect(idsOf([...kept, ...held])).toEqual(idsOf(records));
  expect(new Set([...kept, ...held]).size).toBe(records.length);
}

describe('splitSequences', () => {
  const smiles = [
    'c1ccccc1C',
    'c1ccccc1CC',
    'C1CCCCC1O',
    'C1CCCCC1N',
    'CCO',
    'OCC',
    'CCN',
    'c1ccncc1C',
    'c1ccncc1',
    'CCCCC',
  ];
  const data = {
    random: { records: proteins.map((each, i) => record(each, i, { labels: ['ab'[i % 2]!] })), alphabet: 'protein' },
    group: { records: proteins.map((each, i) => record(each, i, { group: `g${i % 7}` })), alphabet: 'protein' },
    mutations: { records: variants([0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 4]), alphabet: 'protein' },
    cluster: { records: proteins.map((each, i) => record(each, i)), alphabet: 'protein' },
    scaffold: { records: smiles.map((each, i) => record(each, i)), alphabet: 'smiles' },
    similarity: { records: smiles.map((each, i) => record(each, i)), alphabet: 'smiles' },
  } as const;

  it.each(Object.keys(data) as (keyof typeof data)[])('by %s gives each record a side, in any order', async (by) => {
    const { records, alphabet } = data[by];
    await fc.assert(
      fc.asyncProperty(
        fc.shuffledSubarray([...records], { minLength: records.length }),
        fc.integer({ min: 0, max: 5 }),
        async (mixed, seed) => {
          const options = { fraction: 0.3, seed, by, alphabet };
          const split = await splitSequences(records, options);
          expectDivided(records, split);
          expect(split.held.length).toBeGreaterThan(0);
          expect(split.kept.length).toBeGreaterThan(0);
          expect(idsOf((await splitSequences(mixed, options)).held)).toEqual(idsOf(split.held));
        },
      ),
      { numRuns: 5 },
    );
  });

  it('at random keeps duplicates together and classes in their shares', async () => {
    const letters = fc.sample(fc.string({ unit: fc.constantFrom(...'ACDEFGHIKLMNPQRSTVWY'), minLength: 20 }), 100);
    const records = letters.flatMap((each, i) => {
      const labels = [i % 5 === 0 ? 'rare' : 'usual'];
      return i % 10 === 3
        ? [record(each, 2 * i, { labels }), record(each, 2 * i + 1, { labels })]
        : [record(each, 2 * i, { labels })];
    });
    const { kept, held, splitBy } = await splitSequences(records, { fraction: 0.2, seed: 1, by: 'random' });
    expect(held).toHaveLength(22);
    expect(held.filter(({ labels }) => labels![0] === 'rare')).toHaveLength(4);
    const trained = new Set(kept.map(({ sequence }) => sequence));
    expect(held.filter(({ sequence }) => trained.has(sequence))).toEqual([]);
    expect(splitBy).toBe('at random; duplicates stay together');
  });

  it('at random keeps one molecule together however it is written', async () => {
    const records = ['OCC', 'CCO', 'C(O)C', 'CCN', 'CCC', 'CCCl'].map((each, i) => record(each, i));
    for (const seed of [0, 1, 2, 3]) {
      const { held } = await splitSequences(records, { fraction: 0.5, seed, by: 'random', alphabet: 'smiles' });
      const ids = idsOf(held).filter((id) => id < 's3');
      expect([0, 3]).toContain(ids.length);
    }
  });

  it('by groups leaves them whole', async () => {
    const { records } = data.group;
    const { kept, held, splitBy } = await splitSequences(records, { fraction: 0.25, by: 'group' });
    const groups = new Set(kept.map(({ group }) => group));
    expect(held.filter(({ group }) => groups.has(group))).toEqual([]);
    expect(splitBy).toBe('groups stay whole');
    await expect(splitSequences(data.cluster.records, { fraction: 0.2, by: 'group' })).rejects.toThrow(
      /d\.csv, row 2: no groups are known.*columns: \{ group \}/,
    );
  });

  it('by mutations holds out those with most, and of one number some by chance', async () => {
    const { records } = data.mutations;
    const count = ({ substitutions }: SequenceRecord): number => substitutions!.length;
    const split = await splitSequences(records, { fraction: 0.25, by: 'mutations' });
    expect(split.held.map(count).sort(ascending)).toEqual([3, 3, 4]);
    expect(split.splitBy).toBe('variants of 3 mutations and more are held out');
    const five = [0, 1, 2, 3].map((seed) => splitSequences(records, { fraction: 0.42, seed, by: 'mutations' }));
    for (const { held } of await Promise.all(five)) expect(held.map(count).sort(ascending)).toEqual([2, 2, 3, 3, 4]);
    expect((await five[0]!).splitBy).toBe('variants of more than 2 mutations are held out, and some of those with 2');
    expect(new Set((await Promise.all(five)).map(({ held }) => idsOf(held).join())).size).toBeGreaterThan(1);
    const { substitutions: _, ...none } = records[3]!;
    await expect(splitSequences([...records, none], { fraction: 0.2, by: 'mutations' })).rejects.toThrow(
      /d\.csv, row 5: no mutations are known/,
    );
  });

  it('by mutations trains on something even where all have as many', async () => {
    const records = variants([2, 2, 2, 2, 2]);
    const { kept, held } = await splitSequences(records, { fraction: 0.9, by: 'mutations' });
    expect([kept.length, held.length]).toEqual([1, 4]);
  });

  it('by clusters leaves nothing alike on two sides', async () => {
    const { records } = data.cluster;
    for (const seed of [0, 1, 2]) {
      const { kept, held, splitBy, warnings } = await splitSequences(records, { fraction: 0.25, seed, by: 'cluster' });
      expect(await similarRecords(kept, held)).toEqual([]);
      expect(held.length).toBeGreaterThan(10);
      expect(held.length).toBeLessThan(20);
      expect([splitBy, warnings]).toEqual(['clusters of at least 30% identity stay whole', []]);
    }
    await expect(
      splitSequences(data.scaffold.records, { fraction: 0.2, by: 'cluster', alphabet: 'smiles' }),
    ).rejects.toThrow(/molecules have no clusters by sequence identity/);
  });

  it('by clusters of pairs leaves both sides new where that can be', async () => {
    const families = clusterSequences(proteins, { like: 'member' });
    // Partners of a family are of one other family.
    const names = [...new Set(families)];
    const records = proteins.map((each, i) => {
      const partner = names[names.indexOf(families[i]!) ^ 1] ?? families[i]!;
      return record(each, i, { second: proteins[partner]! });
    });
    const { kept, held, splitBy } = await splitSequences(records, { fraction: 0.3, by: 'cluster' });
    const seconds = (list: readonly SequenceRecord[]): SequenceRecord[] =>
      list.flatMap((each) => [each, { ...each, sequence: each.second! }]);
    expect(held.length).toBeGreaterThan(0);
    expect(await similarRecords(seconds(kept), seconds(held))).toEqual([]);
    expect(splitBy).toContain('of both sequences of a pair');

    // One partner of all links all: first sequences are new then, and that is told.
    const hub = proteins.map((each, i) => record(each, i, { second: proteins[0]! }));
    const first = await splitSequences(hub, { fraction: 0.3, by: 'cluster' });
    expect(await similarRecords(first.kept, first.held)).toEqual([]);
    expect(first.warnings).toEqual([expect.stringContaining('only first ones are new')]);
  });

  it('by clusters takes looser ones where all hang together, and tells what is left alike', async () => {
    // Each shares half of it with the one before: a chain through all of them.
    const pieces = proteins.slice(0, 21).map((each) => each.slice(0, 60).padEnd(60, each));
    const records = pieces.slice(1).map((each, i) => record(pieces[i]! + each, i));
    const { held, warnings, splitBy } = await splitSequences(records, { fraction: 0.3, by: 'cluster' });
    expect(held.length).toBeGreaterThan(3);
    expect(splitBy).toBe('sequences of at least 30% identity to the longest of their cluster stay together');
    expect(warnings).toEqual([expect.stringMatching(/^\d+ of \d+ held-out sequences have a relative of 30% identity/)]);
  });

  it('by scaffolds and by similarity keeps like molecules together', async () => {
    const { records } = data.scaffold;
    const sideOf = (split: SequenceSplit, i: number): boolean => split.held.some(({ id }) => id === `s${i}`);
    for (const seed of [0, 1, 2, 3]) {
      const options = { fraction: 0.3, seed, alphabet: 'smiles' } as const;
      const scaffold = await splitSequences(records, { ...options, by: 'scaffold' });
      for (const [a, b] of [
        [0, 1],
        [2, 3],
        [4, 6],
        [7, 8],
        [5, 9],
      ] as const) {
        expect(sideOf(scaffold, a)).toBe(sideOf(scaffold, b));
      }
      const similar = await splitSequences(records, { ...options, by: 'similarity', identity: 0.4 });
      expect(await similarRecords(similar.kept, similar.held, { alphabet: 'smiles', identity: 0.4 })).toEqual([]);
    }
    await expect(splitSequences(data.cluster.records, { fraction: 0.2, by: 'scaffold' })).rejects.toThrow(
      /only molecules can be split by scaffold, but these are protein sequences/,
    );
    const broken = [...records, record('C1CC', 10)];
    for (const by of ['scaffold', 'similarity', 'random'] as const) {
      await expect(splitSequences(broken, { fraction: 0.2, by, alphabet: 'smiles' })).rejects.toThrow(
        /d\.csv, row 12: "C1CC" is not a molecule: unclosed ring/,
      );
    }
  });

  it('tells of classes that are on one side alone', async () => {
    const families = clusterSequences(proteins, { like: 'member' });
    // A class is one family, as when families are what is to be told.
    const records = proteins.map((each, i) => record(each, i, { labels: [`family ${families[i]}`] }));
    const { warnings } = await splitSequences(records, { fraction: 0.3, by: 'cluster' });
    expect(warnings).toEqual([expect.stringMatching(/^Nothing of "family \d+", .* is trained on/)]);
    // Where nobody asks for clusters, those that divide families are better than none of a family.
    const usual = await splitSequences(records, { fraction: 0.3 });
    expect(usual.splitBy).toBe('sequences of at least 30% identity to the longest of their cluster stay together');
    expect(usual.warnings).toEqual([expect.stringContaining('have a relative of 30% identity')]);
  });

  it('tells of a large class that is not measured', async () => {
    const one = Array.from({ length: 50 }, (_, i) =>
      record(proteins[i]!, i, { group: `g${i % 10}`, labels: [i % 10 === 0 ? 'alone' : 'other'] }),
    );
    const twice = [...one, ...one.map((each) => ({ ...each, id: `${each.id}b`, sequence: `${each.sequence}A` }))];
    const split = await splitSequences(twice, { fraction: 0.2, seed: 1, by: 'group' });
    const isHeld = split.held.some(({ group }) => group === 'g0');
    expect(split.warnings).toEqual([
      expect.stringContaining(`Nothing of "alone" is ${isHeld ? 'trained on' : 'held out'}, because`),
    ]);
  });

  describe('without a choice', () => {
    const wayOf = async (records: readonly SequenceRecord[], alphabet?: Alphabet): Promise<string> =>
      (await splitSequences(records, { fraction: 0.3, alphabet })).splitBy;

    it('goes by what the data are', async () => {
      expect(await wayOf(data.group.records)).toContain('groups');
      expect(await wayOf(data.scaffold.records, 'smiles')).toContain('scaffolds');
      expect(await wayOf(data.cluster.records)).toContain('clusters');
      expect(await wayOf(variants([0, 1, 2, 3]))).toContain('random');
      // Variants are known by their likeness where their mutations are not given.
      const sequences = variants([0, 1, 1, 1, 2, 2, 2]).map(({ id, sequence, where }) => ({ id, sequence, where }));
      expect(await wayOf(sequences)).toContain('random');
    });

    it('is at random where nothing else is fair', async () => {
      const records = proteins.map((each, i) => record(each, i, { group: i === 0 ? 'a' : 'b' }));
      const two = records.slice(0, 4).map((each, i) => ({ ...each, group: i < 2 ? 'a' : 'b' }));
      const { splitBy, warnings, held } = await splitSequences(two, { fraction: 0.2 });
      expect([splitBy, held.length]).toEqual(['at random; duplicates stay together', 1]);
      expect(warnings).toEqual([expect.stringContaining('is at random, because no fair part can be held out')]);
    });
  });
});

describe('similarAcrossSplits', () => {
  it('tells how many of the held-out are like one that is trained on', async () => {
    const [one, other] = [proteins[0]!, proteins[1]!];
    const near = [...one].map((letter, i) => (i % 5 === 4 ? 'A' : letter)).join('');
    const kept = [record(one, 0), record(other, 1)];
    const held = [record(near, 2), record(one, 3), record([...proteins[2]!].toReversed().join(''), 4)];
    const [warning, ...more] = await similarAcrossSplits([kept, held]);
    expect(more).toEqual([]);
    expect(warning).toContain('1 of 3 held-out sequences have a relative of 30% identity or more');
    expect(warning).toContain('(33%), such as s2 (d.csv, row 4) and s0 (d.csv, row 2)');
    expect(await similarAcrossSplits([kept, held.slice(1)])).toEqual([]);
    expect(await similarAcrossSplits([kept])).toEqual([]);
  });

  it('does so for molecules', async () => {
    const kept = ['CCCCCCO', 'c1ccccc1'].map((each, i) => record(each, i));
    const held = ['CCCCCCCO', 'CC(=O)O'].map((each, i) => record(each, i + 2));
    expect(await similarAcrossSplits([kept, held], { alphabet: 'smiles' })).toEqual([
      expect.stringContaining('1 of 2 held-out molecules have one of Tanimoto similarity 0.6 or more'),
    ]);
  });
});

describe.skipIf(!existsSync(shared))('on real proteins (needs ../shared beside the checkout)', () => {
  it('finds that the families are split by chance, and splits them better', async () => {
    const records = readFileSync(`${shared}proteins/families.csv`, 'utf8')
      .trim()
      .split('\n')
      .slice(1)
      .map((line, i) => {
        const [id, family, set, sequence] = line.trim().split(',') as [string, string, string, string];
        return { ...record(sequence, i, { labels: [family] }), id, set };
      });
    const train = records.filter(({ set }) => set === 'train');
    const test = records.filter(({ set }) => set !== 'train');
    const like = await similarRecords(train, test);
    expect(like.length / test.length).toBeGreaterThan(0.6);

    const { kept, held } = await splitSequences(records, { fraction: 0.3, by: 'cluster' });
    expect(held.length / records.length).toBeGreaterThan(0.2);
    expect((await similarRecords(kept, held)).length / held.length).toBeLessThan(0.05);
  });
});
