/** @file Tests of the settings of the command line. */

import { expect, test } from 'vitest';
import { dataOptions, dataSettings } from './dataSettings.ts';

test('every setting becomes an option', () => {
  const values: Readonly<Record<string, string | number>> = {
    alphabet: 'dna',
    firstPosition: 24,
    fold: 2,
    evalSplit: 'test',
    splitBy: 'cluster',
    identity: 0.5,
    illegal: 'skip',
  };
  const settings = Object.fromEntries(
    dataSettings.map(({ name, kind }) => [name, values[name] ?? (kind === 'texts' ? [name] : name)]),
  );
  expect(dataOptions(settings)).toEqual({
    columns: {
      sequence: 'sequenceColumn',
      second: 'secondColumn',
      id: 'idColumn',
      label: 'labelColumn',
      labels: ['labelColumns'],
      values: ['valueColumns'],
      residues: 'residueColumn',
      mutations: 'mutationColumn',
      split: 'splitColumn',
      group: 'groupColumn',
    },
    wildType: 'wildType',
    ...values,
  });
  expect(dataOptions()).toEqual({});
});

test.each([
  [{ alphabet: 'proteins' }, 'The setting alphabet is "proteins". Did you mean "protein"?'],
  [{ splitBy: 'clusters' }, 'Did you mean "cluster"?'],
  [{ fold: 1.5 }, 'The setting fold must be a whole number from 0 on, but is 1.5'],
  [{ identity: 30 }, 'The setting identity must be between 0 and 1, but is 30'],
])('%j is refused', (settings, message) => {
  expect(() => dataOptions(settings)).toThrow(
    expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.stringContaining(message) }),
  );
});
