/** @file Tests of mutations as they are written. */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  areMutations,
  possibleFirstPositions,
  mutated,
  mutationsBetween,
  nameOfMutations,
  parseMutations,
} from './mutations.ts';

const letters = [...'ACDEFGHIKLMNPQRSTVWY'];
const protein = fc.array(fc.constantFrom(...letters), { minLength: 1, maxLength: 40 }).map((each) => each.join(''));
/** A wild type and a variant of it. */
const variant = protein.chain((wildType) =>
  fc
    .array(fc.option(fc.constantFrom(...letters), { freq: 2 }), {
      minLength: wildType.length,
      maxLength: wildType.length,
    })
    .map((changes) => ({ wildType, sequence: changes.map((to, i) => to ?? wildType[i]!).join('') })),
);

test('the mutations between two sequences, written and read again, make the one of the other', () => {
  fc.assert(
    fc.property(variant, fc.constantFrom(':', ',', ' ', '+', '; ', '/'), ({ wildType, sequence }, separator) => {
      const substitutions = mutationsBetween(wildType, sequence);
      const written = nameOfMutations(substitutions).replaceAll(':', separator);
      expect(parseMutations(written)).toEqual(substitutions);
      expect(mutated(wildType, substitutions)).toBe(sequence);
      expect(substitutions).toHaveLength([...wildType].filter((letter, i) => letter !== sequence[i]).length);
    }),
  );
});

describe('what is written', () => {
  const A1G = { from: 'A', position: 1, to: 'G' };
  const C2D = { from: 'C', position: 2, to: 'D' };
  test.each([
    ['A1G', [A1G]],
    ['a1g', [A1G]],
    ['A1G:C2D', [A1G, C2D]],
    ['p.Ala1Gly', [A1G]],
    ['p.[Ala1Gly;Cys2Asp]', [A1G, C2D]],
    ['p.(Ala1Gly)', [A1G]],
    ['A1A:C2D', [C2D]],
    ['p.Ala1=', []],
    ['WT', []],
    ['wild-type', []],
    ['', []],
    ['A-5G', [{ ...A1G, position: -5 }]],
  ])('%j', (text, expected) => {
    expect(parseMutations(text)).toEqual(expected);
  });

  test.each([
    ['A1*', 'is no substitution. Only substitutions can be read'],
    ['A12del', 'is no substitution'],
    ['p.Ala1fs', 'is no substitution'],
    ['12G', '"12G" is no mutation. Write mutations as A123G'],
    ['A1G:hello', '"hello" is no mutation'],
    ['Xyz1Gly', 'is no mutation'],
    ['A1G:A1C', 'position 1 is mutated twice in "A1G:A1C"'],
    // Numbers that cannot be counted on from.
    ['A99999999999999999999G', 'is no mutation'],
  ])('%j is refused', (text, message) => {
    expect(() => parseMutations(text, 'a.csv, line 3, column "mutant"')).toThrow(
      expect.objectContaining({ code: 'DATA_INVALID', message: expect.stringContaining(message) }),
    );
    expect(() => parseMutations(text, 'a.csv, line 3, column "mutant"')).toThrow(/^a\.csv, line 3, column "mutant": /);
  });

  test('is told from residues at sites', () => {
    expect(['A1G', 'p.Ala1Gly', 'A1G:C2D'].every(areMutations)).toBe(true);
    expect(['VDGV', 'WT', '', '1.5'].some(areMutations)).toBe(false);
  });
});

test('a position that the wild type does not have, or has with another letter, is named as the user counts', () => {
  const at = (position: number) => [{ from: 'A', position, to: 'G' }];
  expect(() => mutated('MKT', at(2), 'line 4', 10)).toThrow(
    'line 4: A11G expects A at position 11, but the wild type has K there.',
  );
  expect(() => mutated('MKT', at(4), 'line 4', 10)).toThrow(
    'line 4: A13G is beyond the wild type, whose 3 letters are numbers 10 to 12.',
  );
  expect(() => mutated('MKT', at(0))).toThrow('A0G is beyond');
});

test('where all mutations fit from one number on, that is found', () => {
  fc.assert(
    fc.property(variant, fc.integer({ min: -20, max: 20 }), ({ wildType, sequence }, start) => {
      const moved = mutationsBetween(wildType, sequence).map((each) => ({
        ...each,
        position: each.position + start - 1,
      }));
      fc.pre(moved.length > 0);
      const found = possibleFirstPositions(wildType, [moved], 100);
      expect(found).toContain(start);
      for (const each of found) for (const { from, position } of moved) expect(wildType[position - each]).toBe(from);
    }),
  );
  expect(possibleFirstPositions('MKT', [[{ from: 'W', position: 1, to: 'A' }]])).toEqual([]);
});
