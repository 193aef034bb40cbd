/** @file What the command line may say of how data are read (`--set name=value`), the same for all tasks on sequences. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { choice } from '@onnx-lora/sdk/tasks';
import { evalSplitSetting } from '@onnx-lora/sdk/data';
import type { TaskOptions, TaskSetting } from '@onnx-lora/sdk/plugin';
import type { SequenceColumns, SequenceDataOptions } from './sequenceSource.ts';

const columnSettings: Readonly<Record<keyof SequenceColumns, TaskSetting>> = {
  sequence: { name: 'sequenceColumn', kind: 'text', description: 'Column of a table with the sequence or SMILES.' },
  second: { name: 'secondColumn', kind: 'text', description: 'Column with the second sequence of each pair.' },
  id: { name: 'idColumn', kind: 'text', description: 'Column with what sequences are called.' },
  label: { name: 'labelColumn', kind: 'text', description: 'Column with the class.' },
  labels: {
    name: 'labelColumns',
    kind: 'texts',
    description: 'Column that lists labels, or columns of 0 and 1 named after them.',
  },
  values: { name: 'valueColumns', kind: 'texts', description: 'Columns with numbers to predict.' },
  residues: { name: 'residueColumn', kind: 'text', description: 'Column with a label or number for each residue.' },
  mutations: { name: 'mutationColumn', kind: 'text', description: 'Column with mutations such as A123G:C200D.' },
  split: {
    name: 'splitColumn',
    kind: 'text',
    description: 'Column with train, validation or test, or numbers of folds.',
  },
  group: { name: 'groupColumn', kind: 'text', description: 'Column of what is never divided between splits.' },
};

/** What the settings are called. */
export const dataSettings: readonly TaskSetting[] = [
  ...Object.values(columnSettings),
  {
    name: 'alphabet',
    kind: 'text',
    description: 'What letters stand for: protein, dna, rna or smiles; found out by default.',
  },
  { name: 'wildType', kind: 'text', description: 'Sequence that mutations are counted in, or a FASTA file with it.' },
  { name: 'firstPosition', kind: 'number', description: "Number of the wild type's first letter; 1 by default." },
  evalSplitSetting,
  {
    name: 'fold',
    kind: 'number',
    description: 'Fold that is measured on, where splitColumn numbers folds; 0 by default.',
  },
  {
    name: 'splitBy',
    kind: 'text',
    description: 'How data are held out: random, group, mutations, cluster, scaffold or similarity.',
  },
  {
    name: 'identity',
    kind: 'number',
    description: 'Share of alike positions that makes a cluster, or similarity of molecules.',
  },
  { name: 'illegal', kind: 'text', description: 'error (default) or skip: sequences with letters that do not belong.' },
];

/**
 * The options that settings stand for.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for a word that is none of the choices, or a number that makes no sense
 */
export function dataOptions(settings: TaskOptions['settings'] = {}): SequenceDataOptions {
  const columns = Object.fromEntries(
    Object.entries(columnSettings)
      .map(([role, { name }]) => [role, settings[name]] as const)
      .filter(([, column]) => column !== undefined),
  );
  const { wildType } = settings;
  const number = (name: string, isRight: (value: number) => boolean, wanted: string): number | undefined => {
    const value = settings[name];
    if (value === undefined || (typeof value === 'number' && isRight(value))) return value;
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `The setting ${name} must be ${wanted}, but is ${String(value)}. Correct it.`,
    );
  };
  const options: SequenceDataOptions = {
    alphabet: choice('alphabet', settings['alphabet'], ['protein', 'dna', 'rna', 'smiles']),
    ...(typeof wildType === 'string' ? { wildType } : {}),
    firstPosition: number('firstPosition', Number.isInteger, 'a whole number'),
    evalSplit: choice('evalSplit', settings['evalSplit'], ['validation', 'test']),
    fold: number('fold', (value) => Number.isInteger(value) && value >= 0, 'a whole number from 0 on'),
    splitBy: choice('splitBy', settings['splitBy'], [
      'random',
      'group',
      'mutations',
      'cluster',
      'scaffold',
      'similarity',
    ]),
    identity: number('identity', (value) => value > 0 && value <= 1, 'between 0 and 1'),
    illegal: choice('illegal', settings['illegal'], ['error', 'skip']),
  };
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  return { ...(Object.keys(columns).length > 0 ? { columns } : {}), ...Object.fromEntries(given) };
}
