/** @file Tells that a record lacks what a task needs. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { SequenceRecord } from './sequenceRecord.ts';
import type { SequenceNeed } from './sequenceSource.ts';

/**
 * Looks whether records that have what a task needs.
 *
 * @throws OnnxLoraError `DATA_INVALID`, naming the record and the remedy
 */
export function checkRecordNeeds(records: readonly SequenceRecord[], needs: readonly SequenceNeed[] = []): void {
  for (const need of needs) {
    const lacking = records.find((record) => !has(record, need));
    if (!lacking) continue;
    throw new OnnxLoraError('DATA_INVALID', `${lacking.where}: ${remedies[need]}`);
  }
}

function has(record: SequenceRecord, need: SequenceNeed): boolean {
  const { labels, values, residues, second, substitutions } = record;
  if (need === 'label') return labels?.length === 1;
  const found = { labels, values, residues, second, substitutions }[need];
  return found !== undefined;
}

const HEADER = 'In FASTA, the header may say it';
const remedies: Readonly<Record<SequenceNeed, string>> = {
  label: `it has no class to learn, or several. ${HEADER}: ">id LABEL=globin"; or give a table with the columns "sequence" and "label", or a folder with a file for each class.`,
  labels: `it has no labels to learn. ${HEADER}: ">id LABEL=globin"; or give a table with the columns "sequence" and "labels".`,
  values: `it has no number to learn. ${HEADER}: ">id TARGET=0.5"; or give a table with the columns "sequence" and "value".`,
  residues:
    'it has no labels of residues. Give a table with the columns "sequence" and "residues", or a Stockholm file with "#=GR … SS" lines.',
  second: 'it has no second sequence. Give a table with the columns "sequence" and "second".',
  substitutions:
    'it is not known how it differs from a wild type. Give a table with the column "mutations" (A123G), or the wild type that sequences of its length are compared with: wildType: \'wt.fasta\', on the command line --set wildType=wt.fasta.',
};
