/** @file Tests of molecules against RDKit for Python. */

import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import type { SequenceRecord } from '../data/sequenceRecord.ts';
import { checkMolecules } from './molecules.ts';
import { type Chemistry, openChemistry } from './chemistry.ts';
import { withRandomSmiles } from './randomSmiles.ts';

const golden = JSON.parse(readFileSync(new URL('../fixtures/molecules.json', import.meta.url), 'utf8')) as {
  molecules: { smiles: string; canonical: string; scaffold: string }[];
  tanimoto: [number, number, number][];
};
const { molecules } = golden;
const esol = fileURLToPath(new URL('../../../../../shared/data/esol/', import.meta.url));

let chemistry: Chemistry;
beforeAll(async () => {
  chemistry = await openChemistry();
});

const record = (sequence: string, i: number): SequenceRecord => ({
  id: `${i}`,
  sequence,
  where: `m.csv, row ${i + 2}`,
});

describe('openChemistry', () => {
  it('writes molecules and their scaffolds as RDKit for Python does', () => {
    expect(molecules).toHaveLength(59);
    for (const { smiles, canonical, scaffold } of molecules) {
      expect(chemistry.canonicalSmiles(smiles)).toBe(canonical);
      expect(chemistry.scaffold(smiles), smiles).toBe(scaffold);
    }
  });

  it('takes molecules of any shape as large as it may, and refuses larger ones before they do harm', () => {
    for (const unit of ['C', 'C=C', 'C1CC1', 'c1ccccc1', 'N=N', 'C#C', 'C(C)', 'C(', 'N[C@@H](C)C(=O)']) {
      const atoms = unit
        .match(/[A-Za-z]+(?:@@H)?/g)!
        .join('')
        .replaceAll('@@H', '').length;
      const of = (count: number): string => {
        const smiles = unit.repeat(Math.floor(count / atoms));
        return unit === 'C(' ? `${smiles}C${')'.repeat(smiles.length / 2)}` : smiles;
      };
      const smiles = of(499);
      chemistry.canonicalSmiles(smiles);
      chemistry.scaffold(smiles);
      chemistry.randomSmiles(smiles, 1);
      expect(chemistry.similarity(smiles, 'CCO')).toBeLessThan(1);
      expect(() => chemistry.scaffold(of(2000)), unit).toThrow(/of more than 500 atoms.*Leave it out/);
    }
    for (const smiles of ['C'.repeat(1e5), '['.repeat(1e5), 'C.'.repeat(501)]) {
      expect(() => chemistry.canonicalSmiles(smiles)).toThrow(/of more than 500 atoms/);
    }
    // It is as it was.
    expect(chemistry.canonicalSmiles('OCC')).toBe('CCO');
  });

  it('finds the similarities that RDKit for Python finds', () => {
    for (const [a, b, expected] of golden.tanimoto) {
      expect(chemistry.similarity(molecules[a]!.smiles, molecules[b]!.smiles)).toBeCloseTo(expected, 12);
    }
  });

  it('draws SVG, oxygen in red', () => {
    const svg = chemistry.draw('c1ccccc1O', 120, 90);
    expect(svg).toMatch(/^<\?xml[^]*<svg[^]*width='120px' height='90px'[^]*<\/svg>\s*$/);
    expect(svg).toContain('#FF0000');
  });

  it.each([
    ['C1CC', /"C1CC" is not a molecule: unclosed ring\. Correct/],
    ['CC(C)(C)(C)C', /Explicit valence for atom # 1 C, 5, is greater than permitted/],
    ['c1cccc1', /Can't kekulize mol/],
    ['CC(O', /around position 3/],
    ['MKTAYIAK', /is not a molecule: check for a mistake around position 1/],
    ['', /blanks or signs/],
    ['CCO ethanol', /blanks or signs/],
    ['{"rdkitjson":{"version":12},"molecules":[]}', /blanks or signs/],
    ['C\n  mol\n', /blanks or signs/],
  ])('says what is wrong with %j', (smiles, message) => {
    expect(() => chemistry.canonicalSmiles(smiles)).toThrow(
      expect.objectContaining({ code: 'DATA_INVALID', message: expect.stringMatching(message) }),
    );
  });
});

describe('randomSmiles', () => {
  const stereo = [
    'F/C=C/F',
    'F/C=C\\F',
    'C[C@H](N)C(=O)O',
    'C[S@](=O)c1ccccc1',
    '[2H]C([2H])O',
    'OC[C@H]1O[C@@H](O)[C@H](O)[C@@H](O)[C@@H]1O',
    'C',
    'C[C@H]1CC[C@@H](/C=C/O)CC1',
  ];

  it('writes the same molecule in other ways', () => {
    const all = [...stereo, ...molecules.map(({ smiles }) => smiles)];
    fc.assert(
      fc.property(fc.constantFrom(...all), fc.integer(), (smiles, seed) => {
        const other = chemistry.randomSmiles(smiles, seed);
        expect(chemistry.canonicalSmiles(other)).toBe(chemistry.canonicalSmiles(smiles));
        expect(chemistry.randomSmiles(smiles, seed)).toBe(other);
      }),
      { numRuns: 300 },
    );
  });

  it('has many of them', () => {
    const ways = Array.from({ length: 50 }, (_, seed) => chemistry.randomSmiles('CC(C)Cc1ccc(cc1)C(C)C(=O)O', seed));
    expect(new Set(ways).size).toBeGreaterThan(30);
    const geometric = Array.from({ length: 50 }, (_, seed) => chemistry.randomSmiles('CC/C=C/CCO', seed));
    expect(new Set(geometric).size).toBe(7);
  });
});

describe('withRandomSmiles', () => {
  it('adds other ways to write each molecule, with what is known of it', async () => {
    const records = ['CC(=O)Oc1ccccc1C(=O)O', 'CCCCO'].map((smiles, i) => ({
      ...record(smiles, i),
      values: [i + 0.5],
    }));
    const more = await withRandomSmiles(records, { times: 3, seed: 1 });
    expect(more.map(({ id }) => id)).toEqual(['0', '0#1', '0#2', '0#3', '1', '1#1', '1#2', '1#3']);
    expect(more.map(({ values }) => values?.[0])).toEqual([0.5, 0.5, 0.5, 0.5, 1.5, 1.5, 1.5, 1.5]);
    expect(new Set(more.slice(0, 4).map(({ sequence }) => sequence)).size).toBe(4);
    expect(new Set(more.slice(0, 4).map(({ sequence }) => chemistry.canonicalSmiles(sequence))).size).toBe(1);
    expect(await withRandomSmiles(records, { times: 3, seed: 1 })).toEqual(more);
    expect(await withRandomSmiles(records, { times: 3, seed: 2 })).not.toEqual(more);
  });
});

describe('checkMolecules', () => {
  const records = ['CCO', 'C1CC', '[Na+].[Cl-]', 'CC(C)(C)(C)C'].map(record);

  it('names the row of the first that is none', async () => {
    await expect(checkMolecules(records)).rejects.toMatchObject({
      code: 'DATA_INVALID',
      message: expect.stringContaining('m.csv, row 3: "C1CC" is not a molecule: unclosed ring.'),
    });
  });

  it('leaves such out where it is asked to, and tells of salts', async () => {
    const checked = await checkMolecules(records, 'skip');
    expect(checked.records).toEqual([records[0], records[2]]);
    expect(checked.warnings).toEqual([
      expect.stringContaining('2 records are no molecules and are left out, such as m.csv, row 3'),
      expect.stringContaining('1 of 4 molecules have several parts, such as the salt or mixture [Na+].[Cl-]'),
    ]);
    expect((await checkMolecules([records[0]!])).warnings).toEqual([]);
  });
});

describe.skipIf(!existsSync(esol))('on ESOL (needs ../shared beside the checkout)', () => {
  it('takes all molecules, and finds 269 scaffolds', async () => {
    const smiles = readFileSync(`${esol}esol.csv`, 'utf8')
      .trim()
      .split('\n')
      .slice(1)
      .map((line) => line.split(',')[0]!);
    const checked = await checkMolecules(smiles.map(record));
    expect(checked.records).toHaveLength(1128);
    // As MurckoScaffoldSmiles of RDKit 2026.09 for Python finds; all are the same.
    expect(new Set(smiles.map((each) => chemistry.scaffold(each))).size).toBe(269);
  });
});
