/** @file What the command line may say of how data are read (`--set name=value`), the same for all tasks on sequences. */

import { evalSplitSetting } from '@onnx-lora/sdk/data';
import type { SettingRow, SettingRows } from '@onnx-lora/sdk/plugin';
import type { SequenceDataOptions } from './sequenceSource.ts';

function column(name: string, description: string): SettingRow<string> {
  return { name, kind: 'text', description };
}

function columns(name: string, description: string): SettingRow<readonly string[]> {
  return { name, kind: 'texts', description };
}

/** Settings by the options that they give. */
export const dataSettings: SettingRows<SequenceDataOptions> = {
  columns: {
    sequence: column('sequenceColumn', 'Column of a table with the sequence or SMILES.'),
    second: column('secondColumn', 'Column with the second sequence of each pair.'),
    id: column('idColumn', 'Column with what sequences are called.'),
    label: column('labelColumn', 'Column with the class.'),
    labels: columns('labelColumns', 'Column that lists labels, or columns of 0 and 1 named after them.'),
    values: columns('valueColumns', 'Columns with numbers to predict.'),
    residues: column('residueColumn', 'Column with a label or number for each residue.'),
    mutations: column('mutationColumn', 'Column with mutations such as A123G:C200D.'),
    split: column('splitColumn', 'Column with train, validation or test, or numbers of folds.'),
    group: column('groupColumn', 'Column of what is never divided between splits.'),
  },
  alphabet: {
    kind: 'choice',
    of: ['protein', 'dna', 'rna', 'smiles'],
    description: 'What letters stand for: protein, dna, rna or smiles; found out by default.',
  },
  wildType: { kind: 'text', description: 'Sequence that mutations are counted in, or a FASTA file with it.' },
  firstPosition: {
    kind: 'number',
    whole: true,
    description: "Number of the wild type's first letter; 1 by default.",
  },
  evalSplit: evalSplitSetting,
  fold: {
    kind: 'number',
    whole: true,
    min: 0,
    description: 'Fold that is measured on, where splitColumn numbers folds; 0 by default.',
  },
  splitBy: {
    kind: 'choice',
    of: ['random', 'group', 'mutations', 'cluster', 'scaffold', 'similarity'],
    description: 'How data are held out: random, group, mutations, cluster, scaffold or similarity.',
  },
  identity: {
    kind: 'number',
    above: 0,
    max: 1,
    description: 'Share of alike positions that makes a cluster, or similarity of molecules.',
  },
  illegal: {
    kind: 'choice',
    of: ['error', 'skip'],
    description: 'error (default) or skip: sequences with letters that do not belong.',
  },
};
