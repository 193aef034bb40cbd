/** @file What the command line may say of how data are read (`--set name=value`), the same for all tasks on sequences. */

import { columnSettings, evalSplitSetting } from '@onnx-lora/sdk/data';
import type { SettingRows } from '@onnx-lora/sdk/plugin';
import type { SequenceColumns, SequenceDataOptions } from './sequenceRecord.ts';
import { sequenceColumns } from './table/columnRoles.ts';

/** Settings by the options that they give. */
export const dataSettings: SettingRows<SequenceDataOptions> = {
  columns: columnSettings<SequenceColumns>(sequenceColumns),
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
    description: 'Fold that is measured on, where columns.split numbers folds; 0 by default.',
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
