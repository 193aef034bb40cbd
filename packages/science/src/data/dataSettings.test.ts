/** @file Tests of the settings of the command line. */

import { settingsOf } from '@onnx-lora/sdk/plugin';
import { expect, test } from 'vitest';
import { dataSettings } from './table/columnRoles.ts';
import type { SequenceDataOptions } from './sequenceRecord.ts';

const table = settingsOf<SequenceDataOptions>(dataSettings);

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
    table.rows.map(({ name, kind }) => [name, values[name] ?? (kind === 'texts' ? [name] : name)]),
  );
  expect(table.read(settings)).toEqual({
    columns: {
      sequence: 'columns.sequence',
      second: 'columns.second',
      id: 'columns.id',
      label: 'columns.label',
      labels: ['columns.labels'],
      values: ['columns.values'],
      residues: 'columns.residues',
      mutations: 'columns.mutations',
      split: 'columns.split',
      group: 'columns.group',
    },
    wildType: 'wildType',
    ...values,
  });
});

test.each([
  [
    { alphabet: 'proteins' },
    'The setting alphabet must be one of protein, dna, rna, smiles, but it is "proteins". Did you mean "protein"?',
  ],
  [{ splitBy: 'clusters' }, 'Did you mean "cluster"?'],
  [{ fold: 1.5 }, 'The setting fold must be a whole number of at least 0, but it is 1.5'],
  [{ identity: 30 }, 'The setting identity must be a number above 0 and not above 1, but it is 30'],
])('%j is refused', (settings, message) => {
  expect(() => table.read(settings)).toThrow(
    expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.stringContaining(message) }),
  );
});
